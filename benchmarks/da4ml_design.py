"""da4ml, another generator, on our works: installed in an environment of its own and checked like our designs.

Its designs are fully unrolled adder graphs that take a frame every cycle. Source: C. Sun et al., "da4ml: Distributed
Arithmetic for Real-time Neural Networks on FPGAs", ACM TRETS 2025, doi:10.1145/3777387.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.quant.ir import netfile
from spikeloom.sim.environment import limbs_to_int, words_from_ints
from spikeloom.sim.ports import BoundaryPort, DesignPorts
from spikeloom.sim.simulators.verilator import VerilatorModel
from spikeloom.sim.trace import Stimulus

from .works import Work

__all__ = [
    "CUTOFF",
    "DESIGN",
    "ENVIRONMENT",
    "NOT_PLACED",
    "TOOL",
    "Da4mlError",
    "Outcome",
    "environment",
    "generate",
    "simulate",
]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("da4ml==0.6.0", "quantizers==1.2.2", "safetensors==0.8.0")
TOOL = PACKAGES[0].replace("==", " ")
CUTOFF = 5
"""Adders in a row in a pipeline stage: the default of da4ml's command line."""
DESIGN = f"fully unrolled, stages of {CUTOFF} adders"
NOT_PLACED = "nextpnr was stopped after 9 minutes of one core on work A, the smaller one"
"""Why the benchmark does not measure its clock."""
ENVIRONMENT = ROOT / "build" / "da4ml-venv"

_STREAM = """
module {top} (input clk, input rst,
    input [{i}-1:0] i__payload, input i__valid, output i__ready,
    output [{o}-1:0] o__payload, output o__valid, input o__ready);
  // One more register than stages: da4ml registers the input and the output of the whole.
  reg [{stages}:0] moving = 0;
  always @(posedge clk) moving <= rst ? 0 : {{moving, i__valid}};
  {core} core (.clk(clk), .model_inp(i__payload), .model_out(o__payload));
  assign i__ready = 1;
  assign o__valid = moving[{stages}];
  wire b0__valid = i__valid, b0__ready = i__ready, b1__valid = o__valid, b1__ready = o__ready;
  wire [{i}-1:0] b0__payload = i__payload;
  wire [{o}-1:0] b1__payload = o__payload;
endmodule
"""
"""Streams around a da4ml pipeline, for our simulator; they are not part of what is synthesised."""


class Da4mlError(RuntimeError):
    """da4ml could not be installed, or failed; the message is one line."""


@dataclass(frozen=True)
class Outcome:
    """What a simulation showed: ``same``, frames whose logits are the golden model's, in the Verilog and in da4ml's own
    interpreter; ``latency`` and ``interval`` in cycles, counted as for our designs."""

    same: int
    latency: int
    interval: int


def _run(command: list[str | Path], what: str, limit: float) -> None:
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Da4mlError(f"{what} took more than {limit:.0f} s") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        error = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no message")
        raise Da4mlError(f"{what} failed: {error.removeprefix('ERROR: ')}")


def environment(folder: Path) -> Path:
    """The Python of the environment in ``folder``, made when it is not there. Raises Da4mlError where pip fails."""
    python, stamp, wanted = folder / "bin" / "python", folder / "packages.txt", "\n".join(PACKAGES)
    if not (stamp.is_file() and stamp.read_text() == wanted):
        _run([sys.executable, "-m", "venv", "--clear", folder], "python -m venv", 120)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "30"]
        _run([*pip, "-c", ROOT / "constraints.txt", *PACKAGES], "pip install", 300)
        stamp.write_text(wanted)
    return python


def generate(work: Work, folder: Path, python: Path, cutoff: int = CUTOFF) -> dict[str, Any]:
    """Write da4ml's design of ``work`` into ``folder``; return what ``design.json`` would say of it."""
    folder.mkdir(parents=True, exist_ok=True)
    netfile.save(work.network, folder / "network.safetensors")
    np.save(folder / "frames.npy", work.frames)
    script = Path(__file__).with_name("da4ml_trace.py")
    files = [folder / "network.safetensors", folder / "frames.npy", folder]
    _run([python, "-I", script, *files, str(cutoff)], "da4ml", 300)
    return json.loads((folder / "pipeline.json").read_text())


def simulate(contents: dict[str, Any], folder: Path, frames: np.ndarray, logits: np.ndarray) -> Outcome:
    """Give the Verilog a frame every cycle and compare with ``logits`` (N, classes) of the golden model."""
    inputs, outputs = (np.array(contents[name]) for name in ("inputs", "outputs"))
    i, o = int(inputs.sum()), int(outputs.sum())
    top = "da4ml_stream"
    stream = _STREAM.format(top=top, core=contents["top"], i=i, o=o, stages=contents["stages"])
    (folder / f"{top}.v").write_text((folder / contents["verilog"]).read_text() + stream)
    ports = DesignPorts(top, f"{top}.v", (BoundaryPort("i", "b0_", i), BoundaryPort("o", "b1_", o)))
    words = [_pack(frame, inputs) for frame in frames.reshape(len(frames), -1)]
    stimulus = Stimulus(words_from_ints(words, i), len(words) + contents["stages"] + 8)
    # A few hundred cycles: the compiler's work would take longer than it saves.
    model = VerilatorModel.build(folder / ports.verilog, ports, folder / "sim", optimize="-O0")
    trace = model.run(stimulus, folder / "run")
    taken, given = trace.boundaries["i"], trace.boundaries["o"]
    found = np.array([_unpack(limbs_to_int(word), outputs) for word in given.words])
    same = (found == logits).all(1) & (np.load(folder / "logits.npy") == logits).all(1)
    gaps = np.diff(given.cycles)
    return Outcome(int(same.sum()), int(given.cycles[0] - taken.cycles[0]) + 1, int(gaps.max()))


def _pack(values: np.ndarray, formats: np.ndarray) -> int:
    """Values (n,) as a word; a row of ``formats`` has a value's sign, integer and fractional bits."""
    word = at = 0
    for value, (sign, whole, fraction) in zip(values.tolist(), formats.tolist(), strict=True):
        bits = sign + whole + fraction
        word |= (int(value * 2.0**fraction) & ((1 << bits) - 1)) << at
        at += bits
    return word


def _unpack(word: int, formats: np.ndarray) -> list[float]:
    """The values of a word, see :func:`_pack`."""
    values = []
    for sign, whole, fraction in formats.tolist():
        bits = sign + whole + fraction
        value = word & ((1 << bits) - 1)
        values.append((value - (sign << bits if value >> (bits - 1) & 1 else 0)) / 2.0**fraction if bits else 0.0)
        word >>= bits
    return values
