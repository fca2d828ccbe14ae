"""Write the artefacts into the folder of a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....quant.files.replacing import replacing
from ...design import Design
from .bench import bench, vector_files
from .cocotb_bench import cocotb_bench
from .constraints import constraints
from .files import core_file, file_list
from .instance import instance
from .layout import ports
from .text import signals

__all__ = ["Vectors", "integrate"]


@dataclass(frozen=True)
class Vectors:
    """What the benches offer and expect.

    Parameters: ``frames`` (N, C, H, W); ``words`` (n, limbs), uint32, by boundary, those of the network, computed
    independently of the cores.
    """

    frames: np.ndarray
    words: Mapping[str, np.ndarray]


def integrate(
    design: Design, contents: Mapping[str, Any], folder: Path, vectors: Vectors, megahertz: float
) -> dict[str, str]:
    """Write all artefacts of ``design``, whose Verilog is in ``folder``; return their files by what they are."""
    top, verilog = contents["top"], contents["verilog"]
    stem, streams = verilog.removesuffix(".v"), ports(design)
    law = design.law(
        len(vectors.frames) * design.boundaries[0].words_per_frame,
        costs=design.costs(vectors.words) if design.sparse else None,
    )
    files = vector_files(stem, streams)
    expected = {port: len(vectors.words[b.name]) for port, b in design.outputs.items()}
    cycles = max(int(law.transfers[b.name][-1]) for b in design.outputs.values())
    entry = vectors.words[design.boundaries[0].name]
    texts = {"instance": (f"{stem}_inst.v", instance(top, signals(streams)))}
    texts |= {
        "bench": (f"{stem}_tb.v", bench(top, stem, streams, len(entry), expected, _latency(contents))),
        "cocotb_bench": (f"{stem}_cocotb.py", cocotb_bench(top, stem, verilog, streams, cycles)),
        "vectors_i": (files["i"], _hex(entry, streams[0].width)),
    }
    for port, boundary in design.outputs.items():
        texts[f"vectors_{port}"] = files[port], _hex(vectors.words[boundary.name], boundary.width)
        taken = law.transfers[boundary.name]
        texts[f"vectors_{port}__cycles"] = files[f"{port}__cycles"], "".join(f"{cycle:08x}\n" for cycle in taken)
    clocks = {kind: f"{stem}.{kind}" for kind in ("xdc", "sdc", "lpf")}
    texts |= {kind: (clocks[kind], text) for kind, text in constraints(top, "clk", megahertz).items()}
    texts["file_list"] = f"{stem}.f", file_list([verilog], f"{stem}_tb.v")
    texts["core"] = f"{stem}.core", core_file(stem, top, verilog, contents["waiver"], clocks, f"{stem}_tb.v",
                                              [files[key] for key in files])  # fmt: skip
    for file, text in texts.values():
        with replacing(folder / file) as path:
            path.write_text(text)
    return {what: file for what, (file, _) in texts.items()}


def _latency(contents: Mapping[str, Any]) -> int:
    """Cycles in which a word too many would come, if the design made one of what it holds."""
    return contents["predicted"]["latency_cycles"]


def _hex(words: np.ndarray, width: int) -> str:
    """Words (n, limbs), uint32, as lines that ``$readmemh`` reads."""
    digits = -(-width // 4)
    rows = np.ascontiguousarray(words, dtype="<u4")
    return "".join(f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}\n" for row in rows)
