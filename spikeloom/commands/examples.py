"""The command examples, which copies what the package brings to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from ..console import print_json, print_text, writable
from ..quant.files.replacing import replacing
from .network import JsonOption

__all__ = ["ExamplesError", "examples"]

NETWORK = "digits-t4w4.safetensors"
"""The network that is part of the package."""


class ExamplesError(ValueError):
    """Files that are there already and are not overwritten."""


def examples(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to copy into.")],
             force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
             json: JsonOption = False) -> None:
    """Copy recipes, fold files, the layout of a repository and a small trained network into a folder."""
    found = dict(_files(files("spikeloom.examples"), PurePosixPath()))
    found[PurePosixPath("models", NETWORK)] = files("spikeloom.models") / NETWORK
    there = [folder / name for name in found if (folder / name).exists()]
    if there and not force:
        raise ExamplesError(f"{there[0]}: is there already{f', and {len(there) - 1} more' if there[1:] else ''}; name "
                            "another folder, or overwrite with --force")
    written = []
    for name, source in found.items():
        path = folder / name
        writable(path, folder=False)
        with replacing(path) as temporary:
            temporary.write_bytes(source.read_bytes())
        written.append(path)
    if json:
        print_json({"files": written})
        return
    network = folder / "models" / NETWORK
    print_text(*(f"wrote {path}" for path in written), "", "Next, for example:",
               f"  spikeloom generate {network} --fold {folder / 'digits_fold.toml'} -o {folder / 'design'}",
               f"  spikeloom verify {folder / 'design'} --data digits -n 20",
               f"  spikeloom train {folder / 'digits.toml'} -o {folder / 'mine.safetensors'}")


def _files(folder: Traversable, at: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _files(entry, at / entry.name)
        elif entry.is_file() and not (at == PurePosixPath() and entry.name.endswith((".py", ".pyc"))):
            yield at / entry.name, entry
