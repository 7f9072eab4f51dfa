"""Help and completion answer in about the time of typer alone: they import nothing that typer does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlrc.harness.cli.words.completion import names_of

ALONE = """
import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def one(size: int = 1) -> None: ...


@app.command()
def two(name: str = "") -> None: ...
"""
OURS = "from mlrc.harness.cli import app"
AFTER_HELP = """
import sys
from typer.main import get_command
from typer.testing import CliRunner

command = get_command(app)
for name in ["", *command.commands]:
    assert CliRunner().invoke(app, [*name.split(), "--help"]).exit_code == 0, name
print(*{name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names))
"""
SLOW = {"torch", "torchvision", "numpy", "pandas", "scipy", "matplotlib", "optuna", "pytorch_metric_learning", "rich"}


def _imported(program: str) -> set[str]:
    """Give the top-level modules, without Python's own, that a program has imported at its end."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_help_of_every_command_imports_what_typer_imports_and_ourselves() -> None:
    imported = _imported(OURS + AFTER_HELP)
    assert imported - _imported(ALONE + AFTER_HELP) == {"mlrc"}
    assert not imported & SLOW


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mlrc dri", ["drift"]),
        ("mlrc run --loss", ["--losses"]),
        ("mlrc run --losses proxy_nca", ["proxy_nca", "proxy_nca_classic", "proxy_nca_few", "proxy_nca_pp"]),
        ("mlrc run --dataset omni", ["omniglot"]),
        ("mlrc run --trunk small", ["small_conv"]),
        ("mlrc check proxy_anch", ["proxy_anchor"]),
    ],
)
def test_the_shell_completes_commands_options_and_names(words: str, offered: list[str]) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("mlrc")],
        env={
            "_MLRC_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == offered, done.stderr


def test_of_several_names_the_last_is_completed() -> None:
    assert names_of("mlrc.losses")("contrastive,proxy_anch") == ["contrastive,proxy_anchor"]


def test_completion_imports_no_more_than_help() -> None:
    program = "import os; os.environ |= {'_MLRC_COMPLETE': 'complete_bash', 'COMP_WORDS': 'mlrc run --losses c', "
    program += "'COMP_CWORD': '3'}\nimport atexit, sys\n"
    program += "atexit.register(lambda: print('\\n', *{n.partition('.')[0] for n in sys.modules}))\n"
    program += "sys.argv = ['mlrc']\nfrom mlrc.harness.cli import app\napp(prog_name='mlrc')"
    imported = _imported(program)
    assert "contrastive" in imported
    assert not imported & SLOW
