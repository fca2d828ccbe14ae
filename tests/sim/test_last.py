"""The mark of the last word of a frame is compared in every simulator, and after synthesis."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import small

from spikeloom.gen.design import Top
from spikeloom.gen.emit import writer as emit
from spikeloom.sim.compare import Kind
from spikeloom.sim.environment import VIOLATIONS
from spikeloom.sim.verify import Outcome, verify

RIGHT = "assign o__last = o_word == 2'h2;"
WRONG = {
    "never": "assign o__last = 0;",
    "always": "assign o__last = 1;",
    "a word early": "assign o__last = o_word == 2'h1;",
}
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="no iverilog on this machine")
SIMULATORS = [
    pytest.param({}, id="verilator"),
    pytest.param({"simulator": "cocotb"}, marks=pytest.mark.slow, id="cocotb"),
    pytest.param({"simulator": "cocotb-icarus"}, marks=needs_icarus, id="icarus"),
    pytest.param({"netlist": "ice40"}, marks=pytest.mark.slow, id="netlist"),
    pytest.param({"netlist": "ice40", "plain": True}, marks=pytest.mark.slow, id="plain netlist"),
]


@pytest.fixture
def tried(tmp_path: Path, cache: Path) -> Callable[..., Outcome]:
    """Verify the small design with another line for its mark."""

    def verified(line: str, **options: object) -> Outcome:
        emit.write(small.design(), tmp_path)
        design, contents = emit.read(tmp_path)
        verilog = tmp_path / contents["verilog"]
        text = verilog.read_text()
        assert text.count(RIGHT) == 1
        verilog.write_text(text.replace(RIGHT, line))
        return verify(design, contents, tmp_path, small.frames(4), cache=cache, **options)

    return verified


def broken(outcome: Outcome) -> tuple[Kind, str, int, str]:
    first = outcome.differences[0]
    return first.kind, first.boundary, first.word, first.text


@pytest.mark.parametrize(("name", "word"), [
    ("a word early", 1), *(pytest.param(*p, marks=pytest.mark.slow) for p in (("never", 2), ("always", 0)))
])  # fmt: skip
def test_a_wrong_mark_is_seen(name: str, word: int, tried: Callable[..., Outcome]) -> None:
    assert broken(tried(WRONG[name])) == (Kind.RULE, "last", word, VIOLATIONS["last"])


@pytest.mark.parametrize("options", SIMULATORS)
def test_in_every_simulator(options: dict[str, object], tried: Callable[..., Outcome]) -> None:
    assert tried(RIGHT, **options).passed
    assert broken(tried(WRONG["never"], **options)) == (Kind.RULE, "last", 2, VIOLATIONS["last"])


def test_in_amaranth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emit.write(small.design(), tmp_path)
    design, contents = emit.read(tmp_path)
    assert verify(design, contents, tmp_path, small.frames(4), simulator="amaranth").passed
    monkeypatch.setattr(Top, "lasts", property(lambda top: {"last": (top.o__last, 2)}))
    found = verify(design, contents, tmp_path, small.frames(4), simulator="amaranth")
    assert broken(found) == (Kind.RULE, "last", 1, VIOLATIONS["last"])
