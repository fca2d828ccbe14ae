"""The tables of README.md and docs/, made from ``results.json``: no figure in them is typed by hand.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; ``python -m benchmarks.tables`` writes them again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from .accuracy import papers, trained
from .columns import AREA, BULK, CLOCK, EXPLORED, NETLIST, OTHER_RESNETS, PLACED, RESNETS, SPEED, SPIKING, SPREAD, XC7
from .records import OURS, Record, read

__all__ = ["TABLES", "documents", "main", "regenerated"]

ROOT = Path(__file__).resolve().parent.parent

_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

SAME: dict[float | None, str] = {0.0: "no", 1.0: "yes"}


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{round(value):,}" if value == round(value) or value >= 1000 else f"{value:,}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _figures(records: list[Record], work: str, needs: str) -> dict[tuple[str, str], dict[str, float | None]]:
    """Figures by (tool, design) of a work, ours first, of the designs that have the metric ``needs``.

    Published rows of a tool give way to those that were measured in the same run as ours.
    """
    of_work = sorted((r for r in records if r.work == work), key=lambda r: r.tool != OURS)
    rows = {(r.tool, r.design): r for r in of_work if r.metric == needs}
    known = {r.tool for r in rows.values() if r.measured and r.value is not None}
    kept = [key for key, record in rows.items() if record.measured or record.tool not in known]
    return {key: {r.metric: r.value for r in of_work if (r.tool, r.design) == key} for key in kept}


def _source(records: list[Record], work: str, tool: str, design: str, metric: str) -> str:
    """When a figure was measured."""
    record = next(r for r in records if r.key == (work, tool, design, metric))
    return "no" if record.value is None else "in this run" if record.measured else record.date


def _missing(records: list[Record], work: str, metric: str) -> str:
    """A line for each figure of ``work`` that could not be measured, with the reason."""
    lines = [
        f"{_title(r.tool, r.design)}: not measured, {r.note}."
        for r in records
        if r.work == work and r.metric == metric and r.value is None
    ]
    return "".join(f"\n\n{line}" for line in lines)


def _title(tool: str, design: str) -> str:
    return f"{'Spikeloom' if tool == OURS else tool}, {design}"


def _columns(records: list[Record], work: str, columns: dict[str, str], needs: str, *, others: bool = False) -> str:
    """A row for each design of ``work`` that has the metric ``needs``; with ``others``, when each was measured."""
    rows = [
        [
            _title(tool, design),
            *([_source(records, work, tool, design, needs)] if others else []),
            *(_number(figures.get(metric)) for metric in columns),
        ]
        for (tool, design), figures in _figures(records, work, needs).items()
        if others or tool == OURS
    ]
    head = ["design", *(["measured"] if others else []), *columns.values()]
    return _table(head, rows) + (_missing(records, work, needs) if others else "")


def _against(records: list[Record]) -> str:
    """Work A beside other tools; ours computes the same integers by verification."""
    rows = [
        [
            _title(tool, design),
            _source(records, "A", tool, design, "lut4_eq"),
            SAME.get(1.0 if tool == OURS else figures.get("same_integers"), "not checked"),
            *(_number(figures.get(metric)) for metric in AREA),
        ]
        for (tool, design), figures in _figures(records, "A", "lut4_eq").items()
    ]
    return _table(["design", "measured", "same integers", *AREA.values()], rows) + _missing(records, "A", "lut4_eq")


def _area(records: list[Record]) -> str:
    """All designs of ours."""
    rows = [
        [f"{work}, {design}", *(_number(figures.get(metric)) for metric in AREA)]
        for work in ("A", "B", "digits", "mnist", "mnist-fast", *RESNETS, "array")
        for (tool, design), figures in _figures(records, work, "lut4_eq").items()
        if tool == OURS
    ]
    return _table(["design", *AREA.values()], rows)


def _placed(records: list[Record]) -> str:
    """The networks for whole images, placed and routed."""
    rows = [
        [f"{work}, {design}", *(_number(figures.get(metric)) for metric in PLACED)]
        for work in ("mnist", "mnist-fast", *RESNETS)
        for (tool, design), figures in _figures(records, work, "mhz").items()
        if tool == OURS
    ]
    return _table(["design", *PLACED.values()], rows)


def _resnets(records: list[Record]) -> str:
    """Our ResNet-20 beside networks for CIFAR-10 of others, which are quoted."""
    rows = []
    for work in RESNETS:
        for (tool, design), figures in _figures(records, work, "frames_per_s").items():
            source = next(r.note for r in records if (r.work, r.tool, r.design) == (work, tool, design))
            luts = f"{_number(figures.get('lut4_eq'))} LUT4-eq." if tool == OURS else "-"
            if "lut6" in figures:
                luts = f"{_number(figures['lut6'])} LUT6"
            columns = [luts if metric == "luts" else _number(figures.get(metric)) for metric in OTHER_RESNETS]
            title = f"{work}, {design}, LFE5U-85F" if tool == OURS else f"{tool}, {design}"
            rows.append([title, "in this run" if tool == OURS else f"quoted: {source}", *columns])
    rows.sort(key=lambda row: row[1] != "in this run")
    return _table(["design", "measured", *OTHER_RESNETS.values()], rows)


def _array(records: list[Record]) -> str:
    columns = {
        "lut4_eq_per_op": "LUT4-eq. per synaptic operation",
        **SPREAD,
        "lut4_eq": "LUT4-eq.",
        "ff": "FF",
        "ebr": "EBR",
        "mult": "MULT",
    }
    return _columns(records, "array", columns, "lut4_eq")


def _cost(records: list[Record]) -> str:
    """The cost model beside Yosys, with the median and the largest error in the last rows."""
    figures = {design: row for (_, design), row in _figures(records, "cost", "lut4_eq_model").items()}
    columns = {
        "lut4_eq": "LUT4-eq.",
        "lut4_eq_model": "model",
        "lut4_eq_error_percent": "error, %",
        "ff": "FF",
        "ff_model": "model",
        "ff_error_percent": "error, %",
        "ebr": "EBR",
        "lut_ram": "LUT RAM",
    }
    rows = [[design, *(_number(row[metric]) for metric in columns)] for design, row in figures.items()]
    summary = (("median error", lambda errors: errors[len(errors) // 2]), ("largest error", max))
    for title, choose in summary if figures else ():
        errors = {m: sorted(abs(row[m] or 0.0) for row in figures.values()) for m in columns if m.endswith("percent")}
        rows.append([title, *(_number(choose(errors[m])) if m in errors else "" for m in columns)])
    return _table(["design", *columns.values()], rows)


def _accuracy(records: list[Record]) -> str:
    names = {"A": "A: perceptron 64-32-10", "B": "B: CNN 8-8-10", "digits": "digits: spiking CNN 8-16-10, T = 4"}
    rows = [
        [title, _number(next(r.value for r in records if r.work == work and r.metric == "accuracy_percent"))]
        for work, title in names.items()
    ]
    return _table(["network", "accuracy on 397 test digits, %"], rows)


def _trained(records: list[Record]) -> str:
    """The committed networks beside their papers."""
    known, published = _figures(records, "accuracy", "accuracy_percent"), papers()
    columns = {"rate": "rate", "operations": "operations", "nanojoules": "nJ", "ann_nanojoules": "ANN, nJ"}
    rows = []
    for network in trained():
        row, paper = known.get((OURS, network.name), {}), published.get(network.name)
        rows.append(
            [
                f"`{network.name}`",
                network.data.partition(":")[0],
                network.what,
                _number(row.get("accuracy_percent")),
                f"{paper['figure']} ({paper['source']})" if paper else "-",
                *(_number(row.get(metric)) for metric in columns),
            ]
        )
    return _table(["network", "data", "what it is", "accuracy, %", "paper, %", *columns.values()], rows)


def _over_time(records: list[Record]) -> str:
    """Accuracy after each time step of the spiking networks."""
    known = _figures(records, "accuracy", "accuracy_percent_t2")
    last = max((int(m.rpartition("t")[2]) for row in known.values() for m in row if "_t" in m), default=1)
    steps = [t for t in range(1, last + 1) if t <= 8 or not t % 8]
    rows = [
        [f"`{design}`", *(_number(row.get(f"accuracy_percent_t{t}")) for t in steps)]
        for (_, design), row in sorted(known.items())
    ]
    return _table(["network", *(f"t = {t}" for t in steps)], rows)


def _explored(records: list[Record], metrics: dict[str, str], title: str) -> str:
    """Figures of the exploration, a row each, in words."""
    known = [r for r in records if r.work == "explore" and (r.metric in metrics or r.metric.startswith("luts_at_"))]
    rows = []
    for r in known:
        text = metrics.get(r.metric) or f"{r.metric.removeprefix('luts_at_')} frames/s"
        rows.append([r.design, text, _large(r.value), r.unit])
    return _table([title, "figure", "value", "unit"], rows)


def _large(value: float | None) -> str:
    return f"{value:.3g}" if value is not None and value >= 1e7 else _number(value)


def _spiking(records: list[Record]) -> str:
    figures = _figures(records, "spiking", "accuracy_percent")
    rows = [[design, *(_number(row.get(metric)) for metric in SPIKING)] for (_, design), row in figures.items()]
    return _table(["form", *SPIKING.values()], rows)


TABLES: dict[str, Callable[[list[Record]], str]] = {
    "area": _area,
    "perceptron": _against,
    "perceptron-clock": lambda records: _columns(records, "A", CLOCK, "mhz", others=True),
    "perceptron-xc7": lambda records: _columns(records, "A", XC7, "xc7_lut", others=True),
    "cnn": lambda records: _columns(records, "B", AREA, "lut4_eq", others=True),
    "cnn-xc7": lambda records: _columns(records, "B", XC7, "xc7_lut", others=True),
    "digits": lambda records: _columns(records, "digits", AREA, "lut4_eq"),
    "speed": lambda records: _columns(records, "digits", SPEED, "cocotb_cycles_per_s"),
    "bulk": lambda records: _columns(records, "bulk", BULK, "times_faster"),
    "netlist": lambda records: _columns(records, "netlist", NETLIST, "luts"),
    "array": _array,
    "placed": _placed,
    "resnets": _resnets,
    "cost": _cost,
    "accuracy": _accuracy,
    "trained": _trained,
    "over-time": _over_time,
    "explored": lambda records: _explored(records, EXPLORED, "what"),
    "spiking": _spiking,
}
"""The tables by name."""


def documents() -> list[Path]:
    """The files that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


def regenerated(text: str, records: list[Record]) -> str:
    """Return ``text`` with its tables as ``records`` give them. Raises ValueError where a table's name is unknown."""

    def block(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"There is no table {match[2]!r}; there are {', '.join(TABLES)}")
        return f"{match[1]}{TABLES[match[2]](records)}\n{match[3]}"

    if text.count("<!-- table:") != len(_BLOCK.findall(text)):
        raise ValueError("A table's marker has no '<!-- end -->'")
    return _BLOCK.sub(block, text)


def main() -> int:
    """Write all tables."""
    records = read()
    for path in documents():
        before = path.read_text()
        if (after := regenerated(before, records)) != before:
            path.write_text(after)
            print(f"{path.relative_to(ROOT)}: tables written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
