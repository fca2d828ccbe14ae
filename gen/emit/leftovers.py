"""Files of an earlier design in a folder, which the design that was written over it does not have.

What lies there under another name would be taken for a part of the new one. Removed is what ``design.json`` of the
earlier design names, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import PlanError
from .design_file import NAME, NETWORK, read_contents
from .names import rom_file

__all__ = ["files_of", "found", "remove"]


def files_of(contents: Mapping[str, Any]) -> set[str]:
    """The names of all files that ``contents`` of ``design.json`` say are beside it, but for that of the network."""
    files = set(contents.get("files", {}).values())
    for made in (contents, contents.get("axi", {})):
        files |= {made[key] for key in ("verilog", "waiver") if key in made}
    return files | {rom_file(m["module"]) for m in contents.get("memories", ()) if m["kind"] == "rom"}


def found(folder: Path) -> set[str]:
    """The files of the design in ``folder``; none where there is no such design."""
    try:
        return files_of(read_contents(folder))
    except PlanError:
        return set()


def remove(folder: Path, before: Collection[str], contents: Mapping[str, Any]) -> None:
    """Remove the files ``before`` of an earlier design in ``folder`` that the one of ``contents`` does not have."""
    for file in set(before) - files_of(contents) - {NAME, NETWORK}:
        path = folder / file
        if path.name == file and (path.is_file() or path.is_symlink()):  # never one of another folder
            path.unlink()
