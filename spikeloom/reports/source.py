"""What a report is of: a network, a file with one, or the folder of a design with what was built of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..converted import Converted
from ..quant.files.shapes import Integer, Number, Table, TableOf, Text, check
from ..quant.files.texts import TextError, read_json
from ..quant.ir import netfile
from ..quant.ir.network import Network
from ..quant.lost import LostError

if TYPE_CHECKING:
    from ..gen.design import Design

__all__ = ["ReportError", "Source", "read"]


class ReportError(ValueError):
    """A report that cannot be made as it was asked for; the message names the option or the file and the remedy."""


@dataclass(frozen=True)
class Source:
    """``name``, and ``made``, the network with what is known of its making; its ``design`` with the ``contents`` of
    ``design.json``, None and empty without one; ``boards``, what ``spikeloom build`` reported of it; ``notes``, what of
    it could not be shown."""

    name: str
    made: Converted
    design: Design | None = None
    contents: Mapping[str, Any] = field(default_factory=dict)
    boards: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


_BOARD = Table(
    {"board": Text(), "part": Text(), "network": Text()},
    {"used": TableOf(Table({"used": Integer(0), "available": Integer(1)})), "clock": Table({"mhz": Number(0)})},
)


def read(source: Network | str | Path) -> Source:
    """Read ``source``. Raises NetworkError or PlanError, naming the file, and OSError."""
    if isinstance(source, Converted):
        return Source("network", source)
    if isinstance(source, Network):
        return _known("network", source)
    path = Path(source)
    if not path.is_dir():
        return _known(path.stem, netfile.load(path))
    from ..gen.emit.design_file import NAME
    from ..gen.emit.writer import read as read_design

    # "build" of a network file, and "demo", put the design into a folder of theirs.
    folder = path if (path / NAME).exists() or not (path / "design" / NAME).exists() else path / "design"
    design, contents = read_design(folder)
    known = _known(path.resolve().name, design.network)
    boards, notes = _boards(path, design.network)
    return Source(known.name, known.made, design, contents, boards, (*known.notes, *notes))


def _known(name: str, network: Network) -> Source:
    """``network`` with what its texts say of its making."""
    try:
        return Source(name, Converted.of_file(network))
    except LostError as error:
        bare = Converted(network.nodes, network.steps, network.meta)
        return Source(name, bare, notes=(f"what the network says of its making is not shown: {error}",))


def _boards(folder: Path, network: Network) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """What was built in ``folder`` or in folders of it, and notes on what was not for this ``network``."""
    found, notes = list[Mapping[str, Any]](), list[str]()
    for path in sorted([*folder.glob("report.json"), *folder.glob("*/report.json")]):
        try:
            contents = read_json(path)
            if not isinstance(contents, dict) or "board" not in contents:
                continue  # some other tool's
            check(contents, _BOARD, "report.json", ReportError)
        except (OSError, TextError, ReportError) as error:
            notes.append(f"{path.relative_to(folder)} is not shown: {error}")
            continue
        if contents["network"] != network.hash:
            notes.append(f"{path.relative_to(folder)} is not shown: it was built of another network; build it again")
        else:
            found.append(contents)
    return tuple(found), notes
