"""Hypothesis without a deadline: the first call of a test pays for what torch loads lazily."""

from hypothesis import settings

settings.register_profile("losses", deadline=None)
settings.load_profile("losses")
