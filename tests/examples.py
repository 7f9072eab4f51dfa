"""How many examples Hypothesis tries of a property, and which: the same in every default run, others in a long one.

`derandomize` draws the examples of a test from its own source, so that a default run says the same on any machine, and
a failure is of the change at hand. Properties that are false for some seed are for the long run to find:
`tests/test_properties.py` under `-m slow`, or `--hypothesis-profile long --hypothesis-seed N` on any file. Neither
keeps examples of earlier runs, nor judges a test by how long it takes on a machine that is busy.
"""

from hypothesis import HealthCheck, settings

DEFAULT, LONG = "default_run", "long"
EXAMPLES = {DEFAULT: 100, LONG: 500}


def register() -> None:
    """Make both profiles known and the default one the one in force, as `--hypothesis-profile` may change."""
    for name, count in EXAMPLES.items():
        settings.register_profile(
            name,
            max_examples=count,
            derandomize=name == DEFAULT,
            database=None,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(DEFAULT)


def examples(count: int) -> settings:
    """Give the setting for a test that tries `count` examples in the default run, and in proportion in a long one."""
    return settings(max_examples=count * settings().max_examples // EXAMPLES[DEFAULT])
