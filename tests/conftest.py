"""What holds for every test: which examples Hypothesis tries, and which versions a failure is of."""

from tests.examples import register

register()
