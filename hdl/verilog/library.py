"""Verilog modules written by hand: one file for simulation and for every device.

A core is elaborated without a platform for Amaranth's simulator, and with a :class:`Library` as platform for Verilog.
With a library it may use one of the ``.v`` files of this folder, which then go into the written Verilog. Their plain
part is what simulators run and what any synthesis understands; for some devices they have a smaller form, chosen by
a macro.

A library for the target ``asic`` also collects the memories, which are all instances there, and writes the modules of
the read-only ones: no memory has initial contents and no register an initial value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amaranth.hdl import Const, Instance, Value

from ..memory.tables import table_text

__all__ = ["Library", "MacroMemory", "Target", "is_asic"]

Target = Literal["fpga", "asic"]


@dataclass(frozen=True)
class MacroMemory:
    """A memory of the target ``asic``: ``module``; ``kind``: "ram", "register file" or "rom"; ``depth`` words of
    ``width`` bits; ``words``, the contents of a ROM."""

    module: str
    kind: Literal["ram", "register file", "rom"]
    depth: int
    width: int
    words: tuple[int, ...] = ()


class Library:
    """The modules that a design uses; the platform of its elaboration.

    Attributes: ``target``; ``prefix``, which begins the names of its modules, so that two designs in one project do not
    share them; ``memories``, every instance of a memory (``asic`` only; what is smaller than a memory macro, tables in
    logic, is none of them).
    """

    def __init__(self, target: Target = "fpga", prefix: str = "spikeloom") -> None:
        self.target, self.prefix = target, prefix
        self.memories: list[MacroMemory] = []
        self._used: set[str] = set()
        self._tables: dict[tuple[bool, int, tuple[int, ...]], str] = {}

    def instance(
        self, name: str, parameters: dict[str, int | Const], inputs: dict[str, Value], outputs: dict[str, Value]
    ) -> Instance:
        """Return an instance of module ``<prefix>_<name>``, described in ``<name>.v`` (with the prefix "spikeloom")."""
        self._used.add(name)
        return _instance(f"{self.prefix}_{name}", parameters, inputs, outputs)

    def table(
        self, words: Sequence[int], width: int, macro: bool, inputs: dict[str, Value], outputs: dict[str, Value]
    ) -> Instance:
        """Return an instance of a module made for ``words`` (``hdl.memory.tables``): a ROM that may become a ``macro``,
        or logic. Equal words share a module."""
        key = (macro, width, tuple(words))
        kind = "rom" if macro else "table"
        count = sum(other[0] == macro for other in self._tables)
        module = self._tables.setdefault(key, f"{self.prefix}_{kind}_{count}")
        if macro:
            self.memories.append(MacroMemory(module, "rom", len(words), width, key[2]))
        return _instance(module, {}, inputs, outputs)

    @property
    def text(self) -> str:
        """Verilog of the modules used so far; empty where there are none."""
        files = "".join("\n" + self._file(name) for name in sorted(self._used))
        tables = (table_text(name, words, width, macro) for (macro, width, words), name in self._tables.items())
        return files + "".join("\n" + text for text in tables)

    @property
    def modules(self) -> list[str]:
        """Names of the modules used so far."""
        return [*(f"{self.prefix}_{name}" for name in sorted(self._used)), *self._tables.values()]

    def _file(self, name: str) -> str:
        text = (Path(__file__).parent / f"{name}.v").read_text()
        return re.sub(rf"\bspikeloom_{name}\b", f"{self.prefix}_{name}", text)


def is_asic(platform: object) -> bool:
    """Whether ``platform`` is a library for the target ``asic``."""
    return isinstance(platform, Library) and platform.target == "asic"


def _instance(
    module: str, parameters: dict[str, int | Const], inputs: dict[str, Value], outputs: dict[str, Value]
) -> Instance:
    return Instance(
        module,
        *(("p", key, value) for key, value in parameters.items()),
        *(("i", key, value) for key, value in inputs.items()),
        *(("o", key, value) for key, value in outputs.items()),
    )
