"""A progress bar on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Step", "show_progress"]

Step = Callable[[str], None]
"""Called with what begins now, such as "Fitting"."""


@contextmanager
def show_progress(n_steps: int) -> Iterator[Step]:
    """Yield a function that names the step that begins; the bar goes to the error stream."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Starting", total=n_steps + 1)

        def step(description: str) -> None:
            progress.update(bar, description=description, advance=1)

        yield step
