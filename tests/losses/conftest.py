"""Hypothesis without a deadline, since torch loads lazily; forty examples, since the oracles are slow loops."""

from hypothesis import settings

settings.register_profile("losses", deadline=None, max_examples=40)
settings.load_profile("losses")
