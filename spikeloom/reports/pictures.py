"""Pictures of the reports as SVG, by matplotlib: the spikes of one image, when each stage is busy, which classes are
taken for which. Same input, same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from ..gen.design import Design
from ..quant import execute
from ..quant.ir.network import Network

__all__ = ["confusion", "drawn", "raster", "timeline"]

# Text and axes are drawn in this colour, which the page replaces by that of its text, light or dark.
INK = "#010203"
COLOURS = ("#3f7fc1", "#d9822b", "#3a9d6e", "#a364b5")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "spikeloom", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 11,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.titlesize": 11, "axes.labelsize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10}
# 5.4 inches are 389 points: text of 11 points stays near 11 pixels on a narrow phone.
WIDTH = 5.4

MOST_PANELS = 4
"""Layers side by side; of more so many are drawn, from all over the network."""

MOST_NUMBERS = 12
"""Classes of a confusion matrix up to which every number is written into its cell."""


def raster(network: Network, pixels: np.ndarray, label: int | None = None) -> str:
    """The image ``pixels`` (C, H, W) and the spikes of every layer of neurons: rows neurons, columns t = 1..T.

    A quantised network has no spikes; its values are drawn, one column a layer. Of more than :data:`MOST_PANELS`
    layers so many are drawn.
    """
    layers = [node.name for node in network if node.activation]
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_PANELS)).round().astype(int)
    layers = [layers[k] for k in places]
    result = execute.run(network, pixels[None])
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 5.2), layout="constrained")
        top, bottom = (figure.add_subfigure(part) for part in figure.add_gridspec(2, 1, height_ratios=[2, 4]))
        image, answer = top.subplots(1, 2, width_ratios=[1, 1.7])
        _image(image, pixels, network.input.high, label)
        if network.classifies:
            _logits(answer, result.logits[0])
        else:
            _map(answer, network.maps[0].name, result[network.maps[0].name][0])
        panels = bottom.subplots(1, max(1, len(layers)), squeeze=False)[0]
        for panel, name in zip(panels, layers, strict=False):
            _neurons(panel, name, result[name][0], network, "\n" if len(layers) > 2 else ": ")
        return _svg(figure, "raster")


def confusion(table: np.ndarray) -> str:
    """Images by their label, downwards, and by the class that the network says, to the right: ``table`` (K, K). Colours
    are shares of a label's images."""
    classes = len(table)
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, WIDTH - 0.6), layout="constrained")
        axes = figure.subplots()
        colours: Any = ListedColormap([f"#3f7fc1{k:02x}" for k in range(256)])
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
        if classes <= MOST_NUMBERS:
            for label, said in np.argwhere(table):
                axes.annotate(f"{table[label, said]:,}", (said, label), ha="center", va="center", fontsize=9)
        if classes <= 2 * MOST_NUMBERS:
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
        axes.set_xlabel("class that the network says")
        axes.set_ylabel("label")
        axes.tick_params(length=0)
        return _svg(figure, "confusion")


def drawn(plot: Callable[[], Figure], name: str) -> str:
    """What ``plot`` gives, in the style of the pages; ``name`` begins the names in it."""
    with matplotlib.rc_context(STYLE):
        return _svg(plot(), name)


def _image(axes: Axes, pixels: np.ndarray, high: int, label: int | None) -> None:
    if len(pixels) == 3:
        axes.imshow(pixels.transpose(1, 2, 0) / high, interpolation="nearest")
    else:
        axes.imshow(pixels.reshape(pixels.shape[0] * pixels.shape[1], -1), cmap="gray", vmin=0, vmax=high,
                    interpolation="nearest")
    axes.set_title("input" if label is None else f"input: a {label}")
    axes.set_axis_off()


def _map(axes: Axes, name: str, sums: np.ndarray) -> None:
    """The first channel of a map (C, H, W)."""
    axes.imshow(sums[0], cmap="gray", interpolation="nearest")
    axes.set_title(f"{name}, channel 0 of {len(sums)}")
    axes.set_axis_off()


def _logits(axes: Axes, logits: np.ndarray) -> None:
    best = int(logits.argmax())
    axes.bar(range(len(logits)), logits, color=[COLOURS[1] if k == best else "#8c8c8c" for k in range(len(logits))])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title(f"logits: class {best}")
    if len(logits) <= 20:
        axes.set_xticks(range(len(logits)))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)


def _neurons(axes: Axes, name: str, values: np.ndarray, network: Network, colon: str) -> None:
    """One layer: ``values`` (T, C, H, W) spikes or (C, H, W) values; ``colon`` stands behind its name."""
    channels, height, width = network.signals[name].shape
    neurons = channels * height * width
    values = values.reshape(-1, neurons).T
    low, high = min(0, int(values.min())), max(1, int(values.max()))
    colours: Any = ListedColormap(["#8c8c8c28", COLOURS[0]]) if (low, high) == (0, 1) else "viridis"
    axes.imshow(values, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=high,
                extent=(0.5, values.shape[1] + 0.5, neurons, 0))
    if channels <= 32 < neurons:
        for edge in range(1, channels):
            axes.axhline(edge * height * width, color=INK, linewidth=0.3, alpha=0.5)
        axes.set_yticks([(k + 0.5) * height * width for k in range(channels)], [str(k) for k in range(channels)])
        axes.set_ylabel("channel")
    else:
        axes.set_ylabel("neuron")
    if network.signals[name].timed:
        axes.set_xticks(np.unique(np.linspace(1, network.steps, min(network.steps, 8)).round().astype(int)))
        axes.set_xlabel("time step t")
        rate = f"{100 * values.mean():.0f} % spike"
    else:
        axes.set_xticks([])
        rate = f"values {low}..{high}"
    axes.set_title(f"{name}{colon}{neurons} neurons\n{rate}")
    axes.tick_params(axis="y", length=0)


def timeline(design: Design, frames: int = 4) -> str:
    """When each stage works on which of ``frames`` frames that follow each other, by the cycle law."""
    law = design.law(frames * design.boundaries[0].words_per_frame)
    stages = design.stages
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 0.9 + 0.42 * len(stages)), layout="constrained")
        axes = figure.subplots()
        end = max(int(t[-1]) for t in law.transfers.values() if len(t)) + 1
        for row, stage in enumerate(stages):
            axes.barh(row, end, height=0.72, color="#8c8c8c", alpha=0.16)
            process = law.stages[stage.name]
            started, decided = np.array(process.started), np.array(process.decided)
            per_frame = stage.window.results
            for frame in range(frames):
                part = slice(frame * per_frame, (frame + 1) * per_frame)
                axes.broken_barh(_spans(started[part], decided[part] + 1), (row - 0.36, 0.72),
                                 facecolors=COLOURS[frame % len(COLOURS)])
        axes.set_yticks(range(len(stages)), [stage.name for stage in stages])
        axes.invert_yaxis()
        axes.set_xlim(0, end)
        axes.set_xlabel("clock cycle")
        for frame in range(frames):
            name = f"frame {frame + 1}" if frame == 0 else f"{frame + 1}"
            axes.plot([], [], "s", color=COLOURS[frame % len(COLOURS)], label=name, markersize=8)
        figure.legend(loc="outside upper center", ncols=frames + 1, frameon=False, handletextpad=0.1, title=None,
                      columnspacing=1.2, labelcolor=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return _svg(figure, "timeline")


def _spans(starts: np.ndarray, ends: np.ndarray) -> list[tuple[float, float]]:
    """(start, length) of the busy times, those that touch joined."""
    if not len(starts):
        return []
    fresh = np.concatenate([[True], starts[1:] > ends[:-1]])
    firsts = np.flatnonzero(fresh)
    lasts = np.append(firsts[1:], len(starts)) - 1
    return [(float(starts[a]), float(ends[b] - starts[a])) for a, b in zip(firsts, lasts, strict=True)]


def _svg(figure: Figure, prefix: str) -> str:
    """SVG for use inside a page: no header, no fixed size, names of its own, the ink that of the text around it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None,
                                                                   "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg"):].replace(INK, "currentColor")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
