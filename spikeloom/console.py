"""What the commands share: errors in one line, progress bars on stderr, tables or JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from .quant.extras import missing

__all__ = ["Commands", "as_text", "bars", "explain", "need", "note_model", "percent", "print_json", "print_text",
           "table", "writable"]

Step = Callable[[str, float, int], None]
"""Called as step(what is done, units done, a part of one included, units in all); 0 in all where nobody
knows."""


class Commands(TyperGroup):
    """A group of commands that ends with one line on stderr and status 1 where something is wrong with the input."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; turn errors that are meant for the user into a line."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            text = explain(error)
            if text is None:
                raise
            typer.echo(f"error: {text}", err=True)
            raise typer.Exit(1) from None


def explain(error: BaseException) -> str | None:
    """The message for the user, or None where ``error`` is a bug and its traceback is what helps.

    Every exception class of this package is meant for the user; so are those of the operating system and missing
    optional packages.
    """
    if type(error).__module__.startswith("spikeloom."):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
    if isinstance(error, ModuleNotFoundError):
        return missing((error.name or "").partition(".")[0])
    return None


def note_model() -> str:
    """The library that computes the golden words (``quant.execute``); said on stderr where it is not PyTorch."""
    from .quant.execute import model

    if model() != "PyTorch":
        typer.echo("PyTorch is not installed: plain NumPy computes what the network gives, the same words, but several "
                   "times as slowly", err=True)
    return model()


def writable(path: Path, *, folder: bool, read: Iterable[str | Path | None] = ()) -> None:
    """Make the folder ``path``, or the one of file ``path``, and check before any work that it can be written to, and
    is none of the files that the command will ``read``."""
    where = path if folder else path.parent
    where.mkdir(parents=True, exist_ok=True)
    if not folder and path.is_dir():
        raise IsADirectoryError(21, "is a folder, but a file is to be written", str(path))
    if not os.access(where, os.W_OK):
        raise PermissionError(13, "Permission denied", str(where))
    if path.is_file() and any(each and Path(each).exists() and path.samefile(each) for each in read):
        raise FileExistsError(17, "is read by this command; write to another file", str(path))


def need(*packages: str) -> None:
    """Raise ModuleNotFoundError now for a package that will be needed after long work."""
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON; nothing else may go to stdout then."""
    typer.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and numbers
        return value.tolist()
    raise TypeError(f"Not a JSON value: {value!r}")


def print_text(*parts: Any) -> None:
    """Print text or anything that rich can draw."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    console = Console(width=width, highlight=False)
    for part in parts:
        console.print(part, markup=False, soft_wrap=isinstance(part, str))


def as_text(part: Any) -> str:
    """What :func:`print_text` prints, without colours."""
    from io import StringIO

    from rich.console import Console

    file = StringIO()
    Console(file=file, width=120, color_system=None, highlight=False).print(part, markup=False)
    return file.getvalue()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A table for :func:`print_text`; the first column to the left, the others to the right."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(columns):
        made.add_column(column, justify="right" if k else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(str, row))
    # A table's own title would be wrapped to the width of the table.
    return Group(Text(title, style="bold"), made)


def percent(share: float) -> str:
    """A share as per cent with two digits."""
    return f"{100 * share:.2f} %"


def figures_of(training: dict[str, float]) -> str:
    """The figures that a training shows (``quant.training.fit.Progress``), those that there are."""
    words = {"train": lambda x: f"{percent(x)} of the training images", "loss": lambda x: f"loss {x:.3f}"}
    words["held out"] = lambda x: f"held out {percent(x)}"
    return ", ".join(word(training[name]) for name, word in words.items() if name in training)


@contextmanager
def bars() -> Iterator[Step]:
    """Progress bars on stderr, one for each thing that is done; nothing where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[count]}"),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=False))
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        def step(what: str, done: float, total: int) -> None:
            # "float, accuracy 98 %": what follows the comma changes, the bar stays.
            name = what.partition(",")[0]
            if name not in tasks:
                for task in tasks.values():
                    progress.update(task, total=progress.tasks[task].total or 1)
                    progress.update(task, completed=progress.tasks[task].total)
                tasks[name] = progress.add_task(what, total=None, count="")
            count = f"{int(done):,} of {total:,}" if total else ""
            progress.update(tasks[name], description=what, completed=done, total=total or None, count=count)

        yield step
        for task in tasks.values():
            progress.update(task, total=progress.tasks[task].total or 1)
            progress.update(task, completed=progress.tasks[task].total)
