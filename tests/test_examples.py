"""The examples of the documentation run, and show what they say."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


def test_two_moons_are_told_apart_at_every_temperature(tmp_path: Path) -> None:
    example = runpy.run_path(str(EXAMPLES / "two_moons.py"))
    right = example["main"](tmp_path / "moons.png", steps=25)
    assert len(right) == len(example["TEMPERATURES"])
    assert min(right) > 0.65, "chance is a half"
    assert (tmp_path / "moons.png").stat().st_size > 10_000
    network, loss = example["train"](1.0, *example["moons"](), steps=25)
    assert float(example["probability"](network, loss, example["moons"]()[0]).max()) < 1 / (1 + 2.718281**-4)


@pytest.mark.parametrize("name", ["two_moons.png", "two_moons.py"])
def test_the_example_and_its_plot_are_there(name: str) -> None:
    assert (EXAMPLES / name).is_file()
