"""What every command asks of its words before it reads them: that none is empty, and that no option has two values.

An empty word is what an unset variable of a shell leaves, as in `--runs "$RUNS"`; read as not given, or as the current
folder, it would do what nobody asked for. Of an option given twice the last value would win without a word.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

USAGE_ERROR = 2


class Command(TyperCommand):
    """A command that refuses empty words and contradictions."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; exits with status 2 where one is empty or contradicts another."""
        _require_sound(self, ctx, args)
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands with options of its own, of which the same holds."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; exits with status 2 where one is empty or contradicts another."""
        _require_sound(self, ctx, args)
        return super().parse_args(ctx, args)


def sound(app: typer.Typer) -> None:
    """Let all commands of an app, and those of its groups, be such commands."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance:
            group.typer_instance.info.cls = Group
            sound(group.typer_instance)


def _require_sound(command: Any, ctx: Any, args: Sequence[str]) -> None:
    if ctx.resilient_parsing:  # the shell's completion, which has half a command line
        return
    said: dict[str, str] = {}
    for option, value in _given(command, args):
        name = option or "An argument"
        if not value.strip():
            _refuse(f"{name} must not be empty, but got {value!r}; leave it out, or give its value.")
        if option and said.setdefault(option, value) != value:
            _refuse(f"{option} must have one value, but got {said[option]!r} and {value!r}; leave one of them out.")


def _given(command: Any, args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give option and value as they were given; of an argument, and of what may be given often, the name is empty."""
    options = {name: one for one in command.params for name in getattr(one, "opts", ()) if name.startswith("-")}
    words = iter(args)
    for word in words:
        name, equals, value = word.partition("=")
        option = options.get(name)
        if word == "--":
            yield from (("", rest) for rest in words)
        elif not word.startswith("-"):
            yield "", word
            if isinstance(command, TyperGroup):
                return  # what follows is said to a command of the group
        elif option is not None and not getattr(option, "is_flag", False):
            value = value if equals else next(words, "?")  # that one is lacking is told by the parser
            if option.multiple and value.strip():
                continue
            yield option.opts[0], value


def _refuse(sentence: str) -> None:
    typer.echo(f"Error: {sentence}", err=True)
    raise typer.Exit(USAGE_ERROR)
