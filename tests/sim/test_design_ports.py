"""The part of design.json that simulators read, and the files that carry stimuli and traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sim_pipeline import PORTS, random_stimulus

from spikeloom.sim.ports import DesignPorts, PortsError
from spikeloom.sim.simulators.npz import load_stimulus, load_trace, save_stimulus, save_trace
from spikeloom.sim.trace import Trace, Transfers


def test_ports_round_trip_and_ignore_other_keys() -> None:
    assert DesignPorts.from_json({**PORTS.to_json(), "version": 1}) == PORTS
    assert [port.limbs for port in PORTS.boundaries] == [2, 3, 3, 1]
    assert (PORTS.input.name, PORTS.output.name) == ("i", "o")
    assert PORTS.outputs == ("o",), "the outputs of a design.json that does not list them"
    several = DesignPorts.from_json(PORTS.to_json() | {"outputs": {"o_early": "fifo", "o": "o"}})
    assert several.outputs == ("o_early", "o") and DesignPorts.from_json(several.to_json()) == several


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top": "a b"}, "Top module must be a Verilog identifier, not 'a b'"),
        ({"outputs": ["o", "o 2"]}, "Output must be a Verilog identifier, not 'o 2'"),
        ({"boundaries": []}, "A design has at least an input and an output boundary, found 0"),
        (
            {"boundaries": [{"name": "i", "signal": "b0"}]},
            "design.json: boundaries[0]: key 'width' is missing; needed are name, signal, width",
        ),
        (
            {"boundaries": [{"name": "i", "signal": "b0", "width": 0}]},
            "Boundary 'i': width must be a positive integer, not 0",
        ),
        (
            {"boundaries": [{"name": "i", "signal": "0b", "width": 1}]},
            "Boundary 'i': signal must be a Verilog identifier, not '0b'",
        ),
        (
            {"boundaries": [{"name": "i", "signal": f"b{k}", "width": 1} for k in range(2)]},
            "Boundary names must differ from each other: i, i",
        ),
    ],
)
def test_bad_ports_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PortsError) as caught:
        DesignPorts.from_json({**PORTS.to_json(), **change})
    assert str(caught.value) == message


def test_a_boundary_may_be_one_bit_wide() -> None:
    ports = PORTS.to_json()
    ports["boundaries"][1]["width"] = 1
    assert DesignPorts.from_json(ports).boundaries[1].limbs == 1


def test_stimulus_and_trace_files_round_trip(tmp_path: Path) -> None:
    stimulus = random_stimulus(1, 5, 20, source=0.5, sink=0.5, resets=2)
    save_stimulus(tmp_path / "s.npz", stimulus)
    again = load_stimulus(tmp_path / "s.npz")
    assert (again.cycles, again.resets) == (stimulus.cycles, stimulus.resets)
    for field in ("words", "source_pauses", "sink_pauses"):
        assert np.array_equal(getattr(again, field), getattr(stimulus, field))
    trace = Trace({"b": Transfers(np.array([3]), np.array([[7]])), "a": _nothing()}, ((2, "b", "text"),))
    save_trace(tmp_path / "t.npz", trace)
    loaded = load_trace(tmp_path / "t.npz")
    assert list(loaded.boundaries) == ["b", "a"] and loaded.violations == trace.violations
    assert loaded.boundaries["b"].words.tolist() == [[7]] and len(loaded.boundaries["a"].cycles) == 0


def _nothing() -> Transfers:
    return Transfers(np.zeros(0, np.int64), np.zeros((0, 1), np.uint32))
