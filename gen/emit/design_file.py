"""``design.json``: its exact shape, and the one place that reads it.

What is read here has every key that any part of the program uses, each of its exact type; keys that are not known
are left alone, for a later version may add some.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...quant.files.shapes import Integer, ListOf, Number, OneOf, Table, TableOf, Text, Truth, check
from ...quant.files.texts import TextError, near, read_json, shown
from ..errors import PlanError

__all__ = ["FORMAT", "NAME", "NETWORK", "check_stages", "read_contents"]

NAME = "design.json"

NETWORK = "network.safetensors"
"""The network beside it."""

FORMAT = 1
"""Version of the file format; a reader refuses other versions."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COUNT, _POSITIVE = Integer(0), Integer(1)

_BOUNDARY = Table(
    {"name": Text(), "signal": Text(), "width": _POSITIVE},
    {"lanes": _POSITIVE, "steps": _POSITIVE, "bits": _POSITIVE, "signed": Truth(), "counts": Truth(),
     "words_per_frame": _POSITIVE, "node": Text()},
)  # fmt: skip

_STAGE = Table(
    {"cycles": _COUNT, "utilisation": Number(0), "lut4_eq_estimate": _COUNT},
    {"latency": _COUNT, "accumulator_bits": ListOf(_POSITIVE), "fifo_words": _COUNT, "row_slots": _COUNT,
     "line_words": _COUNT},
)

_PREDICTED = Table(
    {"latency_cycles": _POSITIVE, "interval_cycles": _POSITIVE, "stages": TableOf(_STAGE)},
    {"bottleneck": Table({"stage": Text(), "utilisation": Number(0)})},
)

_MEMORY = Table(
    {"module": Text(), "kind": OneOf(("ram", "register file", "rom")), "depth": _POSITIVE, "width": _POSITIVE,
     "instances": _POSITIVE}
)  # fmt: skip

_AXI_MAP = Table(
    {},
    {"name": Text(), "node": Text(), "stream": Text(), "lanes": _POSITIVE, "bits": OneOf((8, 16, 32)),
     "words_per_frame": _POSITIVE, "word_bytes": _POSITIVE, "shape": ListOf(_POSITIVE, 3), "order": Text()},
)  # fmt: skip

_AXI = Table(
    {"verilog": Text(), "frame_bytes": _POSITIVE, "beat_bytes": _POSITIVE, "result_words": _POSITIVE},
    {"top": Text(), "version": _COUNT, "network_hash": Text(), "pixel_high": _COUNT, "ports": TableOf(_POSITIVE),
     "registers": TableOf(Table({"address": _COUNT, "access": Text(), "text": Text()})), "verilog_sha256": Text(),
     "waiver": Text(), "maps": ListOf(_AXI_MAP)},
)  # fmt: skip

_DESIGN = Table(
    {
        "network": Table(
            {"hash": Text()},
            {"steps": _POSITIVE, "input": ListOf(_POSITIVE, 3), "input_high": _POSITIVE, "classes": _POSITIVE,
             "maps": TableOf(ListOf(_POSITIVE, 3))},
        ),
        "top": Text(),
        "folds": TableOf(Table()),  # gen.folding.fold reads them
        "boundaries": ListOf(_BOUNDARY),
        "predicted": _PREDICTED,
        "verilog": Text(),
        "verilog_sha256": Text(),
    },
    {
        "counts": Truth(),
        "ports": TableOf(_POSITIVE),
        "outputs": TableOf(Text()),
        "tools": TableOf(Text()),
        "search": ListOf(Text()),
        "target": OneOf(("fpga", "asic")),
        "memories": ListOf(_MEMORY),
        "waiver": Text(),
        "axi": _AXI,
        "layout": TableOf(Table()),
        "files": TableOf(Text()),
    },
)


def read_contents(folder: Path) -> dict[str, Any]:
    """The contents of ``design.json`` in ``folder``. Raises PlanError, naming the key and what it must be."""
    path = folder / NAME
    if not folder.is_dir():
        what = "is a file, but a design is a folder" if folder.exists() else "no such folder"
        raise PlanError(f"{folder}: {what}; make a design with 'spikeloom generate'")
    try:
        contents = read_json(path)
    except (OSError, TextError) as error:
        why = f"there is no {NAME}" if isinstance(error, FileNotFoundError) else f"{NAME}: {error}"
        raise PlanError(f"{folder}: not a generated design ({why}); make one with 'spikeloom generate'") from None
    if not isinstance(contents, dict):
        raise PlanError(f"{path}: must be a table, not {shown(contents)}; make one with 'spikeloom generate'")
    if type(found := contents.get("format")) is not int or found != FORMAT:
        raise PlanError(f"{path}: format {shown(found)}, this program reads format {FORMAT}")
    check(contents, _DESIGN, str(path), PlanError)
    if not contents["boundaries"]:
        raise PlanError(f"{path}: boundaries must not be empty; generate the design again")
    contents.setdefault("outputs", {"o": contents["boundaries"][-1]["name"]})  # there was one, in earlier designs
    _check_names(contents, path)
    return contents


def check_stages(contents: dict[str, Any], names: list[str], path: Path) -> None:
    """Raise PlanError where the stages with a prediction are not ``names``, those of the design."""
    stages = contents["predicted"]["stages"]
    for name in (*names, *stages):
        if (name in stages) != (name in names):
            what = "lacks stage" if name in names else "has no such stage:"
            raise PlanError(f"{path}: predicted.stages {what} {name!r}; the stages are {', '.join(names)}")


def _check_names(contents: dict[str, Any], path: Path) -> None:
    """Names that go into Verilog, scripts and paths."""
    verilog, axi = contents["verilog"], contents.get("axi", {})
    for key, name in (("verilog", verilog), ("axi.verilog", axi.get("verilog", verilog))):
        if Path(name).name != name or not Path(name).suffix or not name.isprintable():
            raise PlanError(f"{path}: {key} must be the name of a file beside it, not {shown(name)}")
    signals = [(f"boundaries[{k}].signal", each["signal"]) for k, each in enumerate(contents["boundaries"])]
    modules = [(f"memories[{k}].module", each["module"]) for k, each in enumerate(contents.get("memories", ()))]
    ports = [("outputs", port) for port in contents.get("outputs", ())]
    for key, name in (("top", contents["top"]), *signals, *modules, *ports):
        if not _IDENTIFIER.fullmatch(name):
            raise PlanError(f"{path}: {key} must be a Verilog identifier, not {shown(name)}")
    names = [each["name"] for each in contents["boundaries"]]
    for what, values in (("names", names), ("signals", [signal for _, signal in signals])):
        if len(set(values)) != len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise PlanError(f"{path}: {what} of boundaries must differ from each other, {shown(twice)} is there twice")
    for port, name in contents.get("outputs", {}).items():
        if name not in names:
            raise PlanError(f"{path}: outputs.{port} must be a boundary, not {shown(name)}{near(name, names)}")
    if contents.get("target") == "asic" and "memories" not in contents:
        raise PlanError(f"{path}: key 'memories' is missing, which a design for an ASIC has; generate it again")
