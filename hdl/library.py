"""Verilog modules written by hand: one file for simulation and for every device.

A core is elaborated without a platform for Amaranth's simulator, and with a :class:`Library` as platform for Verilog.
With a library it may use one of the ``.v`` files of this folder, which then go into the written Verilog. Their plain
part is what simulators run and what any synthesis understands; for some devices they have a smaller form, chosen by
a macro.
"""

from __future__ import annotations

from pathlib import Path

from amaranth.hdl import Const, Instance, Value

__all__ = ["Library"]


class Library:
    """The modules that a design uses; the platform of its elaboration."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def instance(
        self, name: str, parameters: dict[str, int | Const], inputs: dict[str, Value], outputs: dict[str, Value]
    ) -> Instance:
        """Return an instance of module ``spikeloom_<name>``, described in ``<name>.v``."""
        self._used.add(name)
        return Instance(
            f"spikeloom_{name}",
            *(("p", key, value) for key, value in parameters.items()),
            *(("i", key, value) for key, value in inputs.items()),
            *(("o", key, value) for key, value in outputs.items()),
        )

    @property
    def text(self) -> str:
        """Verilog of the modules used so far; empty where there are none."""
        folder = Path(__file__).parent
        return "".join("\n" + (folder / f"{name}.v").read_text() for name in sorted(self._used))
