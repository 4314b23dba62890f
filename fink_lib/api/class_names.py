"""The classes that clients can ask for: of the broker, of the Transient Name Server, of SIMBAD."""

from __future__ import annotations

from fink_lib.science.simbad_types import simbad_types

LOW_STATE, HIGH_STATE, SLSN = "(CTA) Blazar low state", "(CTA) Blazar high state", "SLSN candidate"
FINK = (
    HIGH_STATE,
    LOW_STATE,
    "Ambiguous",
    "Early SN Ia candidate",
    "Kilonova candidate",
    "Microlensing candidate",
    SLSN,
    "SN candidate",
    "Solar System candidate",
    "Solar System MPC",
    "Tracklet",
)
TNS_PREFIX, SIMBAD_PREFIX = "(TNS) ", "(SIMBAD) "
TNS = (
    "AGN", "Afterglow", "CV", "Computed-Ia", "Computed-IIP", "Computed-IIb", "Computed-PISN", "FBOT", "FRB", "Galaxy",
    "Gap", "Gap I", "Gap II", "Impostor-SN", "ILRT", "Kilonova", "LBV", "LRN", "Light-Echo", "M dwarf", "Mdwarf",
    "NA/Unknown", "Nova", "Other", "QSO", "SLSN-I", "SLSN-II", "SLSN-R", "SN", "SN I", "SN I-faint", "SN I-rapid",
    "SN II", "SN II-pec", "SN IIL", "SN IIP", "SN IIb", "SN IIn", "SN IIn-pec", "SN Ia", "SN Ia-91T-like",
    "SN Ia-91bg-like", "SN Ia-CSM", "SN Ia-Ca-rich", "SN Ia-SC", "SN Ia-pec", "SN Iax[02cx-like]", "SN Ib",
    "SN Ib-Ca-rich", "SN Ib-pec", "SN Ib/c", "SN Ib/c-Ca-rich", "SN Ibn", "SN Ibn/Icn", "SN Ic", "SN Ic-BL",
    "SN Ic-Ca-rich", "SN Ic-pec", "SN Icn", "SN Ien", "Std-spec", "TDE", "TDE-H", "TDE-H-He", "TDE-He", "Varstar",
    "WR", "WR-WC", "WR-WN", "WR-WO",
)  # fmt: skip
"""Object types of the Transient Name Server (https://www.wis-tns.org/object types)."""
SIMBAD_TITLE = "Cross-match with SIMBAD (see http://simbad.u-strasbg.fr/simbad/sim-display?data=otypes)"


def class_names() -> dict[str, list[str]]:
    """Give the names by the heading under which Fink's API lists them."""
    labels = sorted({one.label for one in simbad_types()})
    return {
        "Fink classifiers": list(FINK),
        "Cross-match with TNS": [f"{TNS_PREFIX}{name}" for name in TNS],
        SIMBAD_TITLE: [f"{SIMBAD_PREFIX}{label}" for label in labels],
    }
