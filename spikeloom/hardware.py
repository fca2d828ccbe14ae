"""The answers of the hardware itself: classes read from the words that the emitted Verilog gives in Verilator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .gen.design import Design
from .hdl.readout import ReadoutSpec
from .sim.ports import DesignPorts
from .sim.predict import make_stimulus
from .sim.verilator import VerilatorModel

__all__ = ["classes", "classes_of"]


def classes(design: Design, contents: dict[str, Any], folder: Path, pixels: np.ndarray) -> np.ndarray:
    """The class (N,) that the Verilog in ``folder`` gives for each image of ``pixels``; -1 where it gives none.

    The golden model has no part in it. Raises SimulationError where Verilator is missing or fails.
    """
    ports = DesignPorts.from_json(contents)
    model = VerilatorModel.build(folder / ports.verilog, ports, folder / "sim" / "verilator")
    trace = model.run(make_stimulus(design, pixels), folder / "sim" / "answers")
    return classes_of(design, trace.boundaries[design.boundaries[-1].name].words, len(pixels))


def classes_of(design: Design, words: np.ndarray, count: int) -> np.ndarray:
    """The class of each of ``count`` frames, from the ``words`` (n, limbs) on the last boundary."""
    spec = design.stages[-1].cores[-1]
    assert isinstance(spec, ReadoutSpec)
    last = np.ascontiguousarray(words[spec.groups - 1 :: spec.groups].astype("<u4")[:count])
    bits = np.unpackbits(last.view(np.uint8), axis=1, bitorder="little")[:, spec.o_format.width : spec.payload.size]
    found = np.full(count, -1)
    found[: len(bits)] = bits.astype(np.int64) @ (1 << np.arange(bits.shape[1]))
    return found
