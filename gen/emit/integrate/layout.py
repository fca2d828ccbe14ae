"""The words at the ports of a design, bit by bit: what ``design.json``, the header and the benches say of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ....hdl.cores.readout.spec import ReadoutSpec
from ....quant.ir.ops import MapReadout
from ...design import Design

__all__ = ["Field", "Port", "layout", "ports", "word_order"]


@dataclass(frozen=True)
class Field:
    """Bits ``low + width - 1`` down to ``low`` of a payload; ``signed``: two's complement; ``text``, what they mean."""

    name: str
    low: int
    width: int
    signed: bool
    text: str


@dataclass(frozen=True)
class Port:
    """A stream at the edge of a design.

    Attributes: ``name``, which begins the names of its signals; ``width`` of its payload in bits; ``output``, the
    direction; ``words`` of a frame; ``order``, in which they come; ``fields``, which fill the payload; ``shape``
    (C, H, W) of a frame of a map.
    """

    name: str
    width: int
    output: bool
    words: int
    order: str
    fields: tuple[Field, ...]
    shape: tuple[int, int, int] | None = None


def ports(design: Design) -> list[Port]:
    """The input stream first, then the outputs; ``o``, which gives the class, last where there is one."""
    return [_input(design), *(_output(design, port) for port in design.outputs)]


def layout(design: Design) -> dict[str, Any]:
    """The key ``layout`` of ``design.json``: by port the words of a frame, their order and their fields, and of maps
    their shape."""
    return {
        port.name: {"words_per_frame": port.words, "order": port.order, "fields": [asdict(f) for f in port.fields]}
        | ({"shape": list(port.shape)} if port.shape else {})
        for port in ports(design)
    }


def _input(design: Design) -> Port:
    boundary, network = design.boundaries[0], design.network
    form = boundary.format
    order, groups = word_order(network.input.shape, form.lanes)
    first = "" if groups == 1 else ", of the word's first channel on"
    fields = tuple(
        Field(f"pixel{k}", k * form.element_bits, form.bits, False,
              f"channel {k}{first}, 0 to {network.input.high}")
        for k in range(form.lanes)
    )  # fmt: skip
    return Port("i", boundary.width, False, boundary.words_per_frame, order, fields)


def word_order(shape: tuple[int, int, int], lanes: int) -> tuple[str, int]:
    """The order of the words of a map in words, and those of a pixel."""
    c, h, w = shape
    order = f"{h} rows from the top, each of {w} pixels from the left" if h * w > 1 else "one pixel"
    if (groups := c // lanes) > 1:
        order += f"; a pixel in {groups} words, the lowest channels first"
    return order, groups


def _map(design: Design, port: str) -> Port:
    boundary = design.outputs[port]
    form, signal = boundary.format, design.network.signals[boundary.node]
    order, groups = word_order(signal.shape, form.lanes)
    start = "word" if form.lanes == 1 else f"{form.lanes} * word"
    if signal.shape[1:] != (1, 1):
        start = start.replace("word", "word of the pixel")
    fields = tuple(
        Field(f"sum{k}", k * form.bits, form.bits, form.signed,
              f"channel {(f'{start} + {k}' if k else start) if groups > 1 else k}, {signal.low} to {signal.high}")
        for k in range(form.lanes)
    )  # fmt: skip
    return Port(port, boundary.width, True, boundary.words_per_frame, order, fields, signal.shape)


def _output(design: Design, port: str) -> Port:
    boundary = design.outputs[port]
    if isinstance(design.network[boundary.node], MapReadout):
        return _map(design, port)
    spec = next(s for s in design.stages if s.name == boundary.name).cores[-1]
    assert isinstance(spec, ReadoutSpec)
    form, classes = spec.o_format, spec.bias.shape[0]
    many = spec.groups > 1
    start = "word" if spec.outputs == 1 else f"{spec.outputs} * word"
    fields = [
        Field(f"logit{k}", k * form.bits, form.bits, form.signed,
              f"logit of class {(f'{start} + {k}' if k else start) if many else k}, {form.low} to {form.high}")
        for k in range(spec.outputs)
    ]  # fmt: skip
    width = spec.payload.size - form.width
    best = "class with the largest logit, the lowest one on ties"
    if many:
        best += "; of the classes so far, so it is final in the last word of a frame"
    fields.append(Field("best", form.width, width, False, best))
    order = f"classes 0 to {classes - 1}" + (f", {spec.outputs} in a word (word 0 first)" if many else " in one word")
    return Port(port, boundary.width, True, spec.groups, order, tuple(fields))
