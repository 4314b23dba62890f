"""One file per science case. Each has ``build(survey, settings)``, which gives its modules for a survey, or none."""
