"""What the jobs of an exploration do. Arguments and results are JSON; networks are named by file and hash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import api
from ..gen.design import Design
from ..gen.emit import writer as emit
from ..gen.folding.find import search
from ..gen.folding.fold import dump_folds, parse_folds
from ..gen.folding.front import front as exact_front
from ..gen.folding.rates import WordRates
from ..gen.folding.space import Space
from ..gen.targets.fpga.devices import DEVICES
from ..gen.targets.fpga.synth import place, synthesise
from ..quant.ir.network import Network
from .figures import measured

__all__ = ["ExploreError", "accuracy", "best", "front", "measure", "opened", "sizes", "space", "synthesis"]

Folds = Mapping[str, Mapping[str, Any]]


class ExploreError(ValueError):
    """What cannot be explored: another network than the one asked for, a device that nothing fits."""


@lru_cache(maxsize=8)
def opened(network: str, hash: str) -> Network:
    """The network file ``network``, whose hash is ``hash``. Raises ExploreError where it is another one by now."""
    found = api.load(network)
    if found.hash != hash:
        raise ExploreError(f"{network}: its hash is {found.hash}, not {hash}; it was changed, explore it anew")
    return found


@lru_cache(maxsize=2)
def _rates(network: str, hash: str, data: str, images: int, counts: bool) -> WordRates:
    from ..quant import execute

    found = opened(network, hash)
    return WordRates(found, execute.run(found, api.frames(found, data, images).pixels).outputs, counts)


@lru_cache(maxsize=4)
def space(network: str, hash: str, counts: bool, logic: bool, data: str | None, images: int) -> Space:
    """The space of folds; with ``data`` stages may skip all-zero words, at the mean cycles of ``images`` of them."""
    rates = None if data is None else _rates(network, hash, data, images, counts)
    return Space(opened(network, hash), counts=counts, logic=logic, rates=rates)


def sizes(*, network: str, hash: str, counts: bool, logic: bool, data: str | None, images: int) -> dict[str, Any]:
    """``designs`` in a space, the cycles (``steps``) that they can need, and the ``folds`` of every stage."""
    found = space(network, hash, counts, logic, data, images)
    folds = {table.layer.name: len(table.candidates) for table in found.tables}
    return {"designs": float(found.designs), "steps": found.steps.tolist(), "folds": folds}


def front(
    *, network: str, hash: str, counts: bool, logic: bool, data: str | None, images: int, device: str | None,
    steps: list[int],
) -> dict[str, Any]:  # fmt: skip
    """The exact front over cycles, LUTs and block RAMs, for these ``steps`` of cycles (``gen.folding.front``)."""
    found = space(network, hash, counts, logic, data, images)
    budget = DEVICES[device].budget if device is not None else None
    result = exact_front(found.arcs, steps, budget)
    points = [
        {"cycles": point.cycles, "cost": point.cost[:3].round(3).tolist(),
         "folds": dump_folds(found.folds(point.choices))}
        for point in result.points
    ]
    return {"points": points, "evaluated": result.evaluated}


def best(
    *, network: str, hash: str, counts: bool, data: str | None, images: int, device: str | None, cycles: int
) -> dict[str, Any]:
    """The smallest design of one frame every ``cycles`` cycles, by the cycle law; the ``error`` where there is none."""
    from ..gen.errors import PlanError

    rates = None if data is None else _rates(network, hash, data, images, counts)
    try:
        found = search(opened(network, hash), cycles, device, counts=counts, rates=rates)
    except PlanError as error:
        return {"error": str(error)}
    frames = None if rates is None else rates.frames
    return {"folds": dump_folds(found.folds), "log": found.log, "figures": measured(found.design, frames)}


def measure(
    *, network: str, hash: str, counts: bool, folds: Folds, data: str | None, images: int
) -> dict[str, Any]:
    """Cycles of a design by the cycle law, its area by the cost model, stage by stage (``.figures``)."""
    design = Design(opened(network, hash), parse_folds(folds, "folds"), counts)
    return measured(design, _rates(network, hash, data, images, counts).frames if data is not None else None)


def accuracy(*, network: str, hash: str, data: str, start: int, stop: int) -> dict[str, Any]:
    """Right answers, synaptic operations and energy on the test images ``start`` to ``stop``, by the golden model."""
    from ..quant.analysis import activity

    found = opened(network, hash)
    images = api.frames(found, data, stop)
    if images.labels is None:
        raise ExploreError(f"{data}: has no labels, so there is no accuracy; leave --data out or give labels")
    found.check_labels(images.labels, data)
    busy = activity.measure(found, images.pixels[start:])
    return {
        "images": stop - start,
        "right": int((busy.classes_over_time[:, -1] == images.labels[start:]).sum()),
        "operations": busy.operations,
        "nanojoules": busy.nanojoules,
        "ann_operations": busy.ann_operations,
        "ann_nanojoules": busy.ann_nanojoules,
    }


def synthesis(
    *, network: str, hash: str, counts: bool, folds: Folds, device: str | None, tools: Any
) -> dict[str, Any]:
    """Cells by Yosys, with ``device`` the clock by nextpnr too. ``tools``, the versions of the programs, are there for
    the key of the job, which has the hash of all sources too: that is as good as the Verilog."""
    design = Design(opened(network, hash), parse_folds(folds, "folds"), counts)
    contents = {"top": "explored", "verilog": "explored.v"}
    with tempfile.TemporaryDirectory(prefix="spikeloom-explore-") as name:
        (Path(name) / contents["verilog"]).write_text(emit.verilog(design, name=contents["top"]))
        if device is None:
            return {**synthesise(name, contents, "ecp5"), "mhz": None}
        placed = place(name, contents, device.removeprefix("ecp5-").replace("12k", "25k"))
        return {**placed["cells"], "mhz": placed["mhz"]}


def bounds(images: int, chunk: int) -> list[tuple[int, int]]:
    """``images`` in chunks: (start, stop)."""
    starts = np.arange(0, images, chunk).tolist()
    return [(start, min(start + chunk, images)) for start in starts]
