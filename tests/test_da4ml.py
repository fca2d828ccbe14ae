"""da4ml in the benchmark: its rows beside ours, and what is written where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import da4ml_design
from benchmarks.da4ml_design import DESIGN, TOOL, Da4mlError
from benchmarks.measure import measure_da4ml
from benchmarks.records import Record, published, read, write
from benchmarks.subject import to_records
from benchmarks.tables import regenerated
from benchmarks.works import WORKS
from spikeloom.quant import golden


def table(name: str, records: list[Record]) -> list[str]:
    """The lines of a table made from ``records``."""
    return regenerated(f"<!-- table: {name} -->\n<!-- end -->\n", records).splitlines()[1:-1]


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pip that reaches no index, as on a machine without network."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.mark.slow
@pytest.mark.usefixtures("no_packages")
def test_without_da4ml_the_record_says_why(tmp_path: Path) -> None:
    subject = measure_da4ml(WORKS["A"](), tmp_path / "design", tmp_path / "venv")
    (record,) = to_records([subject])
    assert record.key == ("A", TOOL, DESIGN, "lut4_eq") and record.value is None and record.measured
    assert record.note.startswith("pip install failed: Could not find a version that satisfies the requirement da4ml==")

    write([record, *published()], tmp_path / "results.json")
    records = read(tmp_path / "results.json")
    assert records == [record, *published()]
    lines = table("perceptron", records)
    (row,) = [line for line in lines if line.startswith(f"| {TOOL}, {DESIGN} ")]
    assert row.split(" | ")[1:] == ["no", "not checked", *["-"] * 7, "- |"]
    assert lines[-1] == f"{TOOL}, {DESIGN}: not measured, {record.note}."
    # What was measured before stays, with its date.
    others = {(r.tool, r.design, r.date) for r in published() if r.work == "A" and r.metric == "lut4_eq"}
    assert len(others) == 5
    assert all(any(line.startswith(f"| {t}, {d} | {date} |") for line in lines) for t, d, date in others)


def test_the_measured_row_stands_for_the_published_one() -> None:
    rows = [r for r in read() if r.tool == TOOL and r.measured and r.work == "A"]
    assert {"same_integers", "cycles_per_frame", "latency_cycles", "lut4_eq", "ff"} <= {r.metric for r in rows}
    lines = [line for line in table("perceptron", [*rows, *published()]) if TOOL in line]
    assert len(lines) == 1 and lines[0].startswith(f"| {TOOL}, {DESIGN} | in this run | yes | 1 |")
    # Where it was not measured, the published row stays.
    assert any(f"{TOOL}, fully unrolled, II = 1" in line for line in table("perceptron-xc7", [*rows, *published()]))


def test_ports_are_packed_from_the_least_significant_bit() -> None:
    formats = np.array([[0, 4, 0], [1, 3, 0], [0, 0, 0], [1, 2, -1]])
    values = [9.0, -5.0, 0.0, -4.0]
    word = da4ml_design._pack(np.array(values), formats)
    assert word == 9 | (0b1011 << 4) | (0b10 << 8)
    assert da4ml_design._unpack(word, formats) == values


@pytest.mark.slow
@pytest.mark.parametrize(("name", "latency"), [("A", 9), ("B", 12)])
def test_da4ml_computes_our_integers(name: str, latency: int, tmp_path: Path) -> None:
    work = WORKS[name]()
    try:
        python = da4ml_design.environment(da4ml_design.ENVIRONMENT)
    except Da4mlError as error:
        pytest.skip(str(error))
    contents = da4ml_design.generate(work, tmp_path, python)
    logits = golden.run(work.network, work.frames, keep=()).logits
    outcome = da4ml_design.simulate(contents, tmp_path, work.frames, logits)
    assert outcome == da4ml_design.Outcome(same=len(work.frames), latency=latency, interval=1)
    wrong = logits.copy()
    wrong[5, 3] += 1
    assert da4ml_design.simulate(contents, tmp_path, work.frames, wrong).same == len(work.frames) - 1
