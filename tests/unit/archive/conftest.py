"""Hypothesis without a time limit per example: the machine may be busy with real services."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
