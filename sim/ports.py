"""What a simulator must know of an emitted design: its top module and the stream boundaries inside it.

The top module has the ports ``clk``, ``rst`` (synchronous, active high), an input stream ``i`` (``i__payload``,
``i__valid``, ``i__ready``) and output streams, ``o`` and perhaps others. For every boundary, input and output ports
included, it has three wires: ``<signal>_valid``, ``<signal>_ready`` and ``<signal>_payload``. Beside an output stream
there is ``<port>__last``, high with the last word of a frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..quant.files.shapes import Integer, ListOf, OneOf, Table, TableOf, Text, check

__all__ = ["BoundaryPort", "DesignPorts", "LastPort", "PortsError"]

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_BOUNDARY = Table({"name": Text(), "signal": Text(), "width": Integer()})
_LAST = Table({"port": Text(), "boundary": Text(), "words": Integer()})


class PortsError(ValueError):
    """Ports that no design has; the message names the port and the rule."""


@dataclass(frozen=True)
class BoundaryPort:
    """A stream boundary of the top module.

    Attributes:
        name: the boundary's name in a trace.
        signal: prefix of its three wires.
        width: bits of its payload.
    """

    name: str
    signal: str
    width: int

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.signal):
            raise PortsError(f"Boundary {self.name!r}: signal must be a Verilog identifier, not {self.signal!r}")
        if self.width < 1:
            raise PortsError(f"Boundary {self.name!r}: width must be a positive integer, not {self.width!r}")

    @property
    def limbs(self) -> int:
        """32-bit limbs of a word in numpy."""
        return -(-self.width // 32)


@dataclass(frozen=True)
class LastPort:
    """A port that is high with the last word of a frame: ``port``, its name; ``boundary``, whose words it marks;
    ``words`` in a frame."""

    port: str
    boundary: str
    words: int


@dataclass(frozen=True)
class DesignPorts:
    """Top module, Verilog file and boundaries of an emitted design.

    Attributes:
        top: name of the top module.
        verilog: name of the Verilog file.
        boundaries: in the order of the data: the input port first, the output port ``o`` last.
        outputs: names of the output streams.
        lasts: ports that mark the last word of a frame.
        random: registers and memories start with random values, for the design gives them none (target ``asic``).
    """

    top: str
    verilog: str
    boundaries: tuple[BoundaryPort, ...]
    outputs: tuple[str, ...] = ("o",)
    lasts: tuple[LastPort, ...] = ()
    random: bool = False

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.top):
            raise PortsError(f"Top module must be a Verilog identifier, not {self.top!r}")
        names = {boundary.name for boundary in self.boundaries}
        for last in self.lasts:
            if last.boundary not in names or last.words < 1:
                raise PortsError(f"Port {last.port!r} marks words of {last.boundary!r}, {last.words} in a frame")
        for port in (*self.outputs, *(last.port for last in self.lasts)):
            if not _IDENTIFIER.fullmatch(port):
                raise PortsError(f"Output must be a Verilog identifier, not {port!r}")
        if len(self.boundaries) < 2:
            raise PortsError(f"A design has at least an input and an output boundary, found {len(self.boundaries)}")
        for what, values in (
            ("names", [port.name for port in self.boundaries]),
            ("signals", [port.signal for port in self.boundaries]),
        ):
            if len(set(values)) != len(values):
                raise PortsError(f"Boundary {what} must differ from each other: {', '.join(values)}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DesignPorts:
        """Read the keys ``top``, ``verilog``, ``boundaries`` and, where there are any, ``outputs``, ``lasts`` and
        ``target``: those of a ``design.json`` but for ``lasts``. Others are ignored. Raises PortsError."""
        outputs = ListOf(Text()) if isinstance(data.get("outputs"), list) else TableOf(Text())
        needed = {"top": Text(), "verilog": Text(), "boundaries": ListOf(_BOUNDARY)}
        more = {"outputs": outputs, "lasts": ListOf(_LAST), "target": OneOf(("fpga", "asic"))}
        check(data, Table(needed, more), "design.json", PortsError)
        boundaries = tuple(BoundaryPort(item["name"], item["signal"], item["width"]) for item in data["boundaries"])
        lasts = tuple(LastPort(item["port"], item["boundary"], item["words"]) for item in data.get("lasts", []))
        outputs, random = tuple(data.get("outputs", ["o"])), data.get("target") == "asic"
        return cls(data["top"], data["verilog"], boundaries, outputs, lasts, random)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        boundaries = [{"name": port.name, "signal": port.signal, "width": port.width} for port in self.boundaries]
        return {
            "top": self.top,
            "verilog": self.verilog,
            "boundaries": boundaries,
            "outputs": list(self.outputs),
            "lasts": [asdict(last) for last in self.lasts],
            "target": "asic" if self.random else "fpga",
        }

    @property
    def input(self) -> BoundaryPort:
        """The input port's boundary."""
        return self.boundaries[0]

    @property
    def output(self) -> BoundaryPort:
        """The boundary of the output port ``o``."""
        return self.boundaries[-1]
