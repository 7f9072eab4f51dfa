"""The example workflow runs commands and options that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped] # comes with optuna
from typer.main import get_command

from mlrc.harness.cli import app

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "github-actions.yml"
LINES = re.findall(r"(?:run: |^\s+|#\s+)(mlrc .*)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_example_is_a_workflow_with_one_job_whose_steps_run_or_use_something() -> None:
    workflow = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML reads the key `on` as true
    assert set(workflow[True]) == {"pull_request", "schedule"}
    (job,) = workflow["jobs"].values()
    assert job["runs-on"]
    assert all(("run" in step) != ("uses" in step) for step in job["steps"])
    scripts = "\n".join(step.get("run", "") for step in job["steps"])
    assert [line.split()[1] for line in re.findall(r"^\s*mlrc .*$", scripts, flags=re.MULTILINE)] == [
        "doctor",
        "leaderboard",
        "goldens",
        "canary",
        "drift",
    ]


def test_the_example_needs_nothing_but_the_installed_package() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert re.findall("pip install (.*)", text) == ["mlrc # or the wheel that you have: pip install wheels/mlrc-*.whl"]
    assert all("--published drift" in line for line in LINES if "accept" in line)


def test_the_example_checks_the_leaderboard_the_formulas_and_the_training() -> None:
    assert {line.split()[1] for line in LINES} == {"doctor", "leaderboard", "goldens", "canary", "drift", "accept"}


@pytest.mark.parametrize("line", LINES)
def test_every_command_of_the_example_exists_with_its_options(line: str) -> None:
    _, name, *words = shlex.split(line.split("||", maxsplit=1)[0])
    command = get_command(app).commands[name]  # type: ignore[attr-defined] # the application is a group
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert {word for word in words if word.startswith("--")} <= options
