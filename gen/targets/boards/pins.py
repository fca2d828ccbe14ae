"""Which pins of a board a design uses, as amaranth-boards knows them, and the table of them for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .table import Board

__all__ = ["LEDS", "Pin", "leds", "pinout", "pins"]

LEDS = ("error", "heartbeat", "busy")
"""Outputs of a design on LED 0, 1 and 2; boards with two of them do without the last."""

# Signal of the design, resource, its number, and the part of the resource.
_WANTED = (
    ("rx", "uart", 0, "rx"),
    ("tx", "uart", 0, "tx"),
    ("button", "button", 0, None),
    *((signal, "led", k, None) for k, signal in enumerate(LEDS)),
)


class Pin(NamedTuple):
    """A pin: ``signal`` of the design; ``resource`` of amaranth-boards; ``site`` on the package; ``direction``, "in" or
    "out" of the FPGA; ``active_low``; ``attributes``, such as its voltage."""

    signal: str
    resource: str
    site: str
    direction: str
    active_low: bool
    attributes: dict[str, object]


def _find(platform: Any, name: str, number: int, part: str | None) -> Iterator[Pin]:
    resource = platform.lookup(name, number)
    entry = resource if part is None else next(io for io in resource.ios if getattr(io, "name", None) == part)
    (place,) = entry.ios
    sites = place.map_names(platform._conn_pins, resource)
    label = f"{name} {number}" + ("" if part is None else f" {part}")
    direction = {"i": "in", "o": "out"}[place.dir]
    for site in sites:
        yield Pin("", label, site, direction, place.invert, {**resource.attrs, **entry.attrs})


def pins(board: Board) -> list[Pin]:
    """The pins that a design uses on ``board``: clock, UART, button, LEDs."""
    platform = board.open()
    wanted = [("clock", platform.default_clk, 0, None), *_WANTED]
    return [
        pin._replace(signal=signal)
        for signal, name, number, part in wanted
        if signal not in LEDS or signal in leds(platform)
        for pin in _find(platform, name, number, part)
    ]


def leds(platform: Any) -> tuple[str, ...]:
    """Those of :data:`LEDS` that the board has a LED for."""
    return tuple(signal for k, signal in enumerate(LEDS) if ("led", k) in platform.resources)


def pinout(board: Board) -> str:
    """The table of :func:`pins` in Markdown."""
    lines = ["| signal | resource | pin | direction | active | attributes |", "| --- | --- | --- | --- | --- | --- |"]
    for pin in pins(board):
        attributes = ", ".join(f"{key}={value}" for key, value in pin.attributes.items()) or "-"
        active = "low" if pin.active_low else "high"
        signal = f"clock, {float(board.oscillator_mhz):g} MHz" if pin.signal == "clock" else pin.signal
        lines.append(f"| {signal} | {pin.resource} | {pin.site} | {pin.direction} | {active} | {attributes} |")
    return "\n".join(lines) + "\n"
