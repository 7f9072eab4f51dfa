"""Work that comes before the first training, as bars on a terminal and lines elsewhere; needs nothing but rich."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID


@contextmanager
def steps() -> Iterator[Callable[[str, int, int], None]]:
    """Show work that comes before the first training, told as (what, how much is done, of how much)."""
    console = Console(file=sys.stderr, highlight=False)
    with Progress(console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what), total=total)
                if not console.is_terminal:
                    console.print(what, soft_wrap=True, markup=False)
            bars.update(tasks[what], completed=done, total=total)

        yield told
