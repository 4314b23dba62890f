-- topic: fink_microlensing_candidates_ztf
-- title: Microlensing candidates
-- description: Light curves that both bands call a microlensing event.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1016/j.ascom.2019.100298
-- kinds: live
-- budget: 2 %
mulens > 0
