"""Both ends of a QONNX graph: its image as pixels, its logits as those of a Readout."""

from __future__ import annotations

import numpy as np

from ....ir.bounds import LARGEST, NetworkError
from ....ir.network import Network
from ....ir.ops import Readout
from ...layers import UnsupportedLayer
from ...protocol import Pixels
from ..graph import Graph
from ..step import Step
from .building import Building
from .numbers import HALF, Numbers

__all__ = ["readout", "seen"]


def seen(image: str, graph: Graph, pixels: Pixels) -> Numbers:
    """The numbers of the image (N, C, H, W) of ``graph``, of ``pixels`` that the node ``image`` gives, rounded to
    single floats after each step. Raises NetworkError for a mean or std of other channels."""
    numbers = Numbers.of(image, (graph.shape[0], *graph.pixels), pixels.high).behind("Div", pixels.high)
    if (pixels.black, pixels.white) != (0, 1):
        numbers = numbers.behind("Mul", pixels.white - pixels.black).behind("Add", pixels.black)
    for op, name, values in (("Sub", "mean", pixels.mean), ("Div", "std", pixels.std)):
        if len(values) not in (0, 1, graph.pixels[0]):
            of = f"{len(values)} values, but an image {graph.pixels[0]} channels"
            raise NetworkError(f"{graph.file}: {name} has {of}")
        if values:
            numbers = numbers.behind(op, np.broadcast_to(np.array(values), graph.pixels[:1]))
    return numbers


def readout(building: Building, answer: Numbers, graph: Graph, pixels: Pixels) -> Network:
    """The network whose logits are those of ``answer`` less a number that is the same for all classes, by a positive
    one. Raises UnsupportedLayer where there are none such."""
    step = next(step for step in graph.steps if graph.answer in step.outputs)
    gain, start = _line(step, answer)
    building.turn(step, answer.node, gain < 0)
    unit = float(np.abs(gain[0]))
    if not np.allclose(np.abs(gain), unit, rtol=1e-9, atol=0):
        step.refuse("of classes with several scales", "one scale for all logits, as a Quant with one scale for all "
                    "weights of the last layer gives")  # fmt: skip
    bias = start / unit
    first = 0.0 if _whole(bias) else float(bias[0])
    if not _whole(bias - first) or np.abs(bias - first).max() > LARGEST:
        step.refuse("of classes with biases that are no whole multiples of their unit", "a last layer without bias, or "
                    "with one that is quantised by the scale of its inputs times that of its weights")  # fmt: skip
    if len(answer.shape) != 2:
        raise UnsupportedLayer(f"{graph.answer}: logits of shape {answer.shape} are not supported; supported: (N, C)")
    building.add(Readout(name="logits" if "logits" not in building.nodes else "the logits", source=answer.node,
                         bias=np.rint(bias - first).astype(np.int64)))  # fmt: skip
    meta = {
        "origin": graph.file,
        "sees": _said(pixels),
        "logits": f"those of the graph are {unit:.9g} * (logit {first:+.9g})",
        "thresholds": f"{building.unsure} of {building.thresholds} lie where the rounding of floats decides",
    }
    if building.approximated:
        meta["approximate"] = "; ".join(building.approximated)
    return Network(building.needed(), 1, meta)


def _said(pixels: Pixels) -> str:
    text = f"pixels 0..{pixels.high} as {pixels.black:g}..{pixels.white:g}"
    for word, values in (("less", pixels.mean), ("by", pixels.std)):
        text += f", {word} {', '.join(f'{value:g}' for value in values)}" if values else ""
    return text


def _line(step: Step, answer: Numbers) -> tuple[np.ndarray, np.ndarray]:
    line = answer.line()
    if line is None or not np.isfinite(line).all() or not line[0].all():
        step.refuse("that gives no line of sums", "logits as the sums of the last layer, times and plus constants")
    return line


def _whole(x: np.ndarray) -> bool:
    """Whether these are whole numbers, up to what single floats round them by."""
    return bool((np.abs(x - np.rint(x)) <= 4 * HALF * np.abs(x) + 1e-9).all())
