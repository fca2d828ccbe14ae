"""What an exploration finds, from real designs of the digits network: the input of page, picture and tables; and a real
browser with its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_window import Found, Open

import spikeloom
from spikeloom.browser import find_browser
from spikeloom.explore import page
from spikeloom.gen.cost.model import Area, area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import performance
from spikeloom.gen.folding.find import search
from spikeloom.gen.folding.rates import WordRates
from spikeloom.gen.targets.fpga.devices import DEVICES, resources
from spikeloom.quant import golden
from spikeloom.quant.analysis import activity
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Synapse

MODELS = Path(__file__).resolve().parents[2] / "models"
MHZ = 100.0
MINIMISED = ("latency_us", "luts", "ebr", "energy_nj")


def explored(
    files: Sequence[tuple[str, Path, str, Sequence[int]]], device: str | None = "ecp5-12k", images: int = 20
) -> Found:
    """An ``explore.json`` of ``files`` (name, network file, data set, targets in cycles a frame): designs with counts,
    with spikes, and with words skipped."""
    networks, points = [], []
    for k, (name, file, data, targets) in enumerate(files):
        network = spikeloom.load(file)
        frames = spikeloom.frames(network, data, images)
        measured = activity.measure(network, frames.pixels)
        networks.append(_network(name, file, network, measured, frames.labels))
        work = {layer.name: layer.operations for layer in measured.layers}
        rates = WordRates(network, golden.run(network, frames.pixels[:4]).outputs)
        for target in targets:
            for counts, means in ((True, None), (False, None), (True, rates)):
                choice = search(network, target, counts=counts, rates=means)
                if means is None or choice.design.sparse:
                    points.append(_point(len(points), k, networks[k], choice.design, counts, means, work, choice.log))
    chosen = DEVICES[device] if device else None
    for point in points:
        used = np.array([point["luts"], point["ff"], point["ebr"]])
        point["fits"] = chosen is None or bool((used <= chosen.budget[:3]).all())
    _mark(points)
    slowest = max(points, key=lambda point: point["luts"])
    slowest["synthesis"] = {"lut4_eq": round(1.03 * slowest["luts"]), "ff": round(slowest["ff"]), "lut_ram": 0,
                            "ebr": slowest["ebr"], "mhz": None}  # fmt: skip
    points[-1]["source"] = "sampled"
    return {
        "format": 1,
        "title": "The digits network explored",
        "command": f"spikeloom explore {' '.join(str(file.name) for _, file, *_ in files)} --device {device}",
        "device": chosen and {"name": chosen.name, "luts": chosen.luts, "ff": chosen.luts, "ebr": chosen.ebr,
                              "budget": dict(zip(("luts", "ff", "ebr"), chosen.budget[:3].tolist(), strict=True))},
        "clock": {"mhz": MHZ, "from": "assumed"},
        "objectives": ["fps", "latency_us", "luts", "ebr", "accuracy", "energy_nj"],
        "data": {"name": files[0][2], "images": images},
        "networks": networks,
        "points": points,
        "roofline": chosen and {"operations_per_cycle": chosen.luts / 8, "weight_bits_per_cycle": 36 * chosen.ebr,
                                "note": "Eight LUTs an operation; 36 bits of every block RAM in a cycle."},
        "search": {"designs": 2.1e9, "evaluated": 123456, "seconds": 3.2, "notes": ["The front is exact."]},
        "cost_model": {"points": 1, "lut_median_percent": 2.9, "lut_worst_percent": 2.9, "scale": 1.02,
                       "note": "One point was synthesised."},
        "seconds": {"front": 1.2},
        "versions": {"spikeloom": "0.1.0"},
    }  # fmt: skip


def _network(name: str, file: Path, network: Network, found: activity.Activity, labels: Any) -> Found:
    weights = [node for node in network if isinstance(node, Synapse)]
    return {
        "name": name,
        "file": f"models/{file.name}",
        "hash": network.hash,
        "steps": network.steps,
        "rules": sorted({node.rule for node in network if isinstance(node, IF)}),
        "weight_bits": sorted({node.weight_bits for node in weights}),
        "weights": sum(node.weight.size for node in weights),
        "accuracy": float((found.classes_over_time[:, -1] == labels).mean()),
        "operations": found.operations,
        "energy_nj": found.nanojoules,
        "ann_energy_nj": found.ann_nanojoules,
    }


def _point(
    k: int, index: int, about: Found, design: Design, counts: bool, rates: WordRates | None, work: dict[str, float],
    log: list[str],
) -> Found:  # fmt: skip
    figures = performance(design, None if rates is None else rates.frames)
    areas = [area(element.spec) for element in design.elements]
    luts, ff, ebr, _ = resources(total(areas)).tolist()
    stages = [
        _stage(element.name, cells, design, figures, work, min(about["weight_bits"]))
        for element, cells in zip(design.elements, areas, strict=True)
        if element.name in design.folds
    ]
    operations, bits = (sum(stage[key] for stage in stages) for key in ("operations", "weight_bits"))
    return {
        "id": k,
        "network": index,
        "form": "counts" if counts else "spikes",
        "skip": rates is not None,
        "cycles": max(stage["cycles"] for stage in stages),
        "interval": figures["interval"],
        "latency": figures["latency"],
        "fps": MHZ * 1e6 / figures["interval"],
        "latency_us": figures["latency"] / MHZ,
        "luts": luts,
        "ff": ff,
        "ebr": ebr,
        "accuracy": about["accuracy"],
        "energy_nj": about["energy_nj"],
        "front": False,
        "source": "exact",
        "fits": True,
        "binds": next(line for line in log if " binds: " in line),
        "stages": stages,
        "operations_per_cycle": operations / figures["interval"],
        "operations_per_weight_bit": operations / bits if bits else None,
        "folds": {name: asdict(fold) for name, fold in design.folds.items()},
        "fold_file": f"folds/{k}.toml",
        "build": f"spikeloom generate {about['file']} --fold folds/{k}.toml -o designs/{k}",
        "synthesis": None,
    }


def _stage(name: str, cells: Area, design: Design, figures: Found, work: dict[str, float], bits: int) -> Found:
    fold, layer = design.folds[name], next(layer for layer in design.layers if layer.name == name)
    luts, ff, ebr, _ = resources(cells).tolist()
    read = figures["stages"][name]["cycles"] * fold.outputs * fold.inputs * bits
    return {
        "name": name,
        "fold": f"{fold.outputs} x {fold.inputs} x {fold.steps}{', skip' * fold.skip}{', logic' * fold.logic}",
        **figures["stages"][name],
        "luts": luts,
        "ff": ff,
        "ebr": ebr,
        "operations": sum(work.get(node.name, 0.0) for node in layer.nodes),
        "weight_bits": read if any(isinstance(node, Synapse) for node in layer.nodes) else 0,
    }


def _mark(points: list[Found]) -> None:
    """Mark the points that no other is better than in everything."""
    goals = np.array([[-p["fps"], *(p[key] for key in MINIMISED)] for p in points])
    for point, mine in zip(points, goals, strict=True):
        point["front"] = not ((goals <= mine).all(1) & (goals < mine).any(1)).any()


@pytest.fixture(scope="session")
def found() -> Found:
    """Two networks of the same file, one with a name that must be escaped, in three forms."""
    file = MODELS / "digits-t4w4.safetensors"
    return explored([("digits-t4w4", file, "digits", (200, 1600, 6400)), ("<b>x</b>", file, "digits", (500,))])


@pytest.fixture(scope="module")
def text(found: Found) -> str:
    return page.render(found)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, text: str, tmp_path: Path) -> Iterator[Open]:
    """Open the page in a window; at the end it must not have complained nor loaded anything but itself."""
    contexts, complaints, requests = [], [], []

    def open_page(made: str = text, fragment: str = "", **options: Any) -> Any:
        file = tmp_path / "explore.html"
        file.write_text(made, encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        window = context.new_page()
        window.on("console", lambda message: complaints.append(message.text))
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("request", lambda request: requests.append(request.url))
        window.goto(file.as_uri() + fragment)
        return window

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []
