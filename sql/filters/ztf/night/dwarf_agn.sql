-- topic: fink_dwarf_agn_ztf
-- title: Active nuclei of dwarf galaxies
-- description: Alerts within the effective radius of a dwarf galaxy with an active nucleus.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: dwarf_agn
xm_lists['dwarf_agn'] IS NOT NULL
