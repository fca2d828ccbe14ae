"""Names in the written Verilog that a person can read: plain identifiers, no dots, no numbers of a tool.

Amaranth and Yosys call things ``top.conv1.window``, ``o__valid$26``, ``port$904$0`` and ``_254_``. Here a port of a
part of a value is called after the value, and what has no name after what it leads to: ``_moves_2_`` leads to
``moves``. It keeps an underscore at either end: Yosys takes such a name for none, and optimises what has it as before,
and waveforms of Verilator leave it out. Only names change, in the text, so that a synthesis finds the same statements
in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .names import RESERVED, Namespace, identifier

__all__ = ["readable"]

_NAME = r"\\\S+ |[A-Za-z_]\w*"
_TOKEN = re.compile(rf"(?<!['\w])\.?(?:{_NAME})")
_DECLARED = re.compile(rf"^  (?:input|output|wire|reg)(?: reg)?(?: signed)? (?:\[\d+:0\] )?({_NAME})")
_FUNCTION = re.compile(rf"^  function (?:\[\d+:0\] )?({_NAME})")
_INSTANCE = re.compile(rf"^  (?:({_NAME}) (?:#\()?|\) )({_NAME}) ?\($|^  ({_NAME}) #\($")
_ASSIGNED = re.compile(r"^ +(?:assign )?(\S.*?) <?= (.*);$")
_ALIAS = re.compile(rf"^  assign ({_NAME}) ?= (?:\{{ (.*) \}}|({_NAME}));$")
_PORT = re.compile(r"\\port\$\d+\$\d+ ?")
_STREAM = re.compile(r"\\?[io]\d*__")
_EMPTY = re.compile(r"^  wire \[-1:0\] .*;\n", re.MULTILINE)  # a field of no bits, which nothing reads
_TEMPORARY = re.compile(r"_\d+_")


@dataclass
class _Module:
    """A module: its ``name`` and ``lines``, what it declares in order, its instances with their modules; ``names``, how
    all of these are called from now on."""

    name: str
    lines: list[str]
    declared: list[str] = field(default_factory=list)
    ports: set[str] = field(default_factory=set)
    instances: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


def readable(verilog: str, top: str, library: Iterable[str]) -> str:
    """Return ``verilog``, which Yosys wrote of one design, with readable names; that of every module begins with
    ``top``.

    ``library``: modules of the design that are not in this text. Ports of the top module, and of all modules names that
    are plain identifiers, stay, but for a name that a port needs.
    """
    verilog = _EMPTY.sub("", verilog)
    modules = [_module(text) for text in re.split(r"(?<=^endmodule\n)", verilog, flags=re.MULTILINE) if text]
    given = Namespace([top, *library])
    called = {}
    for module in modules:
        inner = module.name.partition(".")[2]
        path = "_".join(identifier(_stage(part)) for part in inner.split("."))
        called[module.name] = given.give(f"{top}_{path}") if inner else module.name
    for module in modules:
        _choose(module, top)
    by_name = {module.name: module for module in modules}
    return "".join(_written(module, called, by_name) for module in modules)


def _stage(instance: str) -> str:
    """The name of an instance without the number that keeps stages in order."""
    return re.sub(r"^s\d+_", "", instance)


def _module(text: str) -> _Module:
    lines = text.splitlines(keepends=True)
    found = _Module("", lines)
    kind = ""
    for line in lines:
        if match := _DECLARED.match(line):
            name = match[1].strip()
            if name not in found.declared:
                found.declared.append(name)
            if not line.startswith(("  wire", "  reg")):
                found.ports.add(name)
        elif match := _FUNCTION.match(line):
            found.declared.append(match[1].strip())
        elif line.startswith("module "):
            found.name = line.split("(")[0].split()[1]
        elif match := _INSTANCE.match(line):
            kind = (match[1] or match[3] or kind).strip()
            if match[2]:
                found.instances[match[2].strip()] = kind
    return found


def _choose(module: _Module, top: str) -> None:
    """Choose all names of a module: first those that are known outside, then plain ones, then the others."""
    given = Namespace()
    better = _better(module) if "." in module.name else {}  # of the top module all ports are promised

    def rank(name: str) -> tuple[bool, bool, bool]:
        return name not in module.ports, bool(_TEMPORARY.fullmatch(name)), name.startswith("\\")

    order = sorted(module.declared, key=rank)
    plain = [name for name in order if rank(name)[1:] == (False, False) or name in module.ports]
    for name in plain:
        module.names[name] = given.give(better.get(name) or _clean(name))
    for name, kind in module.instances.items():
        what = kind.removeprefix(f"{top}_") if name.startswith("\\U$") else _stage(name.removeprefix("\\"))
        module.names[name] = given.give(_clean(what))
    sources, inner = _sources(module), Namespace()
    for name in order[len(plain) :]:
        if _TEMPORARY.fullmatch(name):
            module.names[name] = f"_{inner.give(_clean(_root(name, sources)))}_"
        else:
            module.names[name] = given.give(_clean(name))


def _better(module: _Module) -> dict[str, str]:
    """Better names for ports, by the signals that are equal to them: streams, or values of which a port is a part."""
    equal = [match for line in module.lines if (match := _ALIAS.match(line))]
    parts: dict[str, str] = {}  # what a piece is as a whole, else what it is a part of
    for match in sorted(equal, key=lambda match: match[3] is None):
        if not (_PORT.match(match[1]) or _TEMPORARY.match(match[1])):
            pieces = [match[3]] if match[3] else match[2].split(", ")[::-1]
            for k, piece in enumerate(pieces):
                parts.setdefault(piece.strip(), _clean(match[1].strip()) + (f"_{k}" if len(pieces) > 1 else ""))
    found = {}
    for port in module.ports:
        if port in parts and (_PORT.match(port) or (_STREAM.match(parts[port]) and not _STREAM.match(port))):
            found[port] = parts[port]
    for match in equal:
        if _PORT.match(match[1]) and match[3] and (base := parts.get(match[3].strip())):
            found.setdefault(match[1].strip(), base)
    return found


def _sources(module: _Module) -> dict[str, str]:
    """For what has no name of its own the first thing that it leads to, else the instance that it comes from."""
    found: dict[str, str] = {}
    made: dict[str, str] = {}
    instance = ""
    for line in module.lines:
        if match := _INSTANCE.match(line):
            instance = (match[2] or instance).strip()
        elif line.startswith("    ."):
            for token in _TOKEN.findall(line.partition("(")[2]):
                made.setdefault(token, module.names.get(instance, "net"))
        elif match := _ASSIGNED.match(line):
            (target, *_) = _TOKEN.findall(match[1])
            for token in _TOKEN.findall(match[2]):
                if _TEMPORARY.fullmatch(token) and token != target:
                    found.setdefault(token, target.strip())
    return {token: name for token, name in made.items() if _TEMPORARY.fullmatch(token)} | found


def _root(name: str, sources: dict[str, str]) -> str:
    """The named signal to which ``name`` leads."""
    seen = set()
    while _TEMPORARY.fullmatch(name) and name in sources and name not in seen:
        seen.add(name)
        name = sources[name]
    return name


def _clean(name: str) -> str:
    """A plain identifier for ``name``."""
    if _TEMPORARY.fullmatch(name):
        return "net"
    if name.startswith("\\$auto"):
        return "constants"
    text = re.sub(r"\$\d+$", "", name.removeprefix("\\")).replace(".", "__")
    text = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "net"
    return f"{text}_" if text in RESERVED else f"n{text}" if text[0].isdigit() else text


def _written(module: _Module, called: dict[str, str], by_name: dict[str, _Module]) -> str:
    """The text of a module with its new names."""
    names, kind = module.names, ""
    lines = []

    def new(match: re.Match[str]) -> str:
        token = match[0].strip()
        if token.startswith("."):
            inner = by_name.get(kind)
            return f".{inner.names[token[1:]]}" if inner else match[0]
        return names.get(token, match[0])

    for line in module.lines:
        if line.startswith("module "):
            head, _, rest = line.partition("(")
            lines.append(f"module {called[module.name]}({_TOKEN.sub(new, rest)}")
            continue
        if match := _INSTANCE.match(line):
            kind = (match[1] or match[3] or kind).strip()
            if kind in called and match[2]:
                lines.append(f"  {called[kind]} {names[match[2].strip()]} (\n")
                continue
        lines.append(_TOKEN.sub(new, line))
    return "".join(lines)
