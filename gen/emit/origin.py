"""Whether what lies in the folder of a design is what the generator wrote there.

A verification believes the files as little as it can: what the boundaries are follows from network and folds, hashes
are those of the files, and what is another one than the generator wrote is said.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..design import Design
from ..errors import PlanError
from ..performance import performance
from .design_file import NAME
from .integrate.layout import layout

__all__ = ["Origin", "inspect", "interface", "summary", "verilog_file"]

_MARKED = re.compile(rb"^ *output o(_[A-Za-z0-9]+)*__last\b", re.MULTILINE)  # designs had no such port at first
_INITIAL = re.compile(rb"^ *(output )?reg [^;\n]*=|^ *initial\b", re.MULTILINE)


@dataclass(frozen=True)
class Origin:
    """``verilog``, the file; ``sha256`` of its bytes, empty where there is none; ``contents`` of ``design.json``, with
    the interface that the design has, and ``lasts``, the ports that mark the last word of a frame; ``edits``, a
    sentence for each thing that the generator did not write so."""

    verilog: Path
    sha256: str
    contents: dict[str, Any]
    edits: tuple[str, ...]


def interface(design: Design, *, lasts: bool = True) -> dict[str, Any]:
    """The keys of ``design.json`` that say how the streams of ``design`` look: ``ports``, ``outputs``,
    ``boundaries``. ``lasts``: whether the design has ports that mark the last word of a frame."""
    return {
        "ports": {
            "clk": 1,
            "rst": 1,
            "i__payload": design.boundaries[0].width,
            "i__valid": 1,
            "i__ready": 1,
        }
        | {
            f"{port}__{part}": width
            for port, b in design.outputs.items()
            for part, width in (("payload", b.width), ("valid", 1), ("ready", 1), *([("last", 1)] if lasts else []))
        },
        "outputs": {port: b.name for port, b in design.outputs.items()},
        "boundaries": [
            {
                "name": b.name,
                "signal": b.signal,
                "width": b.width,
                "lanes": b.format.lanes,
                "steps": b.format.steps,
                "bits": b.format.bits,
                "signed": b.format.signed,
                "counts": design.summed(b),
                "words_per_frame": b.words_per_frame,
                "node": b.node,
            }
            for b in design.boundaries
        ],
    }


def summary(design: Design) -> dict[str, Any]:
    """The key ``network`` of ``design.json`` except the hash."""
    network = design.network
    return {
        "steps": network.steps,
        "input": list(network.input.shape),
        "input_high": network.input.high,
        **({"classes": network.classes} if network.classifies else {}),
        **({"maps": {m.name: list(network.signals[m.name].shape) for m in network.maps}} if network.maps else {}),
    }


def verilog_file(folder: str | Path, contents: Mapping[str, Any]) -> Path:
    """The Verilog file that ``design.json`` names. Raises PlanError where it is not one of the folder itself."""
    name = contents["verilog"]
    path = Path(folder) / name
    if Path(name).name != name or path.is_symlink():
        what = "is a link to another place" if path.is_symlink() else "is not the name of a file in its folder"
        raise PlanError(f"{Path(folder) / NAME}: verilog {name!r} {what}; generate the design again")
    return path


def inspect(folder: str | Path, design: Design, contents: Mapping[str, Any]) -> Origin:
    """Compare the Verilog in ``folder`` and the ``contents`` of its ``design.json`` with what the generator wrote.

    Raises PlanError where ``design.json`` names a file outside its folder.
    """
    verilog = verilog_file(folder, contents)
    data = verilog.read_bytes() if verilog.is_file() else None
    marked = data is None or _MARKED.search(data) is not None
    expected = interface(design, lasts=marked)
    edits = [
        f"{NAME}: {_difference(key, contents.get(key), value)}"
        for key, value in expected.items()
        if contents.get(key) != value
    ]
    if contents["network"]["hash"] != design.network.hash:
        edits.append(f"{NAME}: network.hash is not that of the network that is verified")
    edits += [f"{NAME}: {what} is not that of the design" for what in _untrue(contents, design)]
    digest = ""
    if data is None:
        edits.append(f"{verilog.name} is missing")
    else:
        digest = hashlib.sha256(data).hexdigest()
        if digest != contents["verilog_sha256"]:
            edits.append(
                f"{verilog.name} is not the file that was generated: its SHA-256 begins with {digest[:12]}, that in "
                f"{NAME} with {contents['verilog_sha256'][:12]}"
            )
        elif (contents.get("target") == "asic") == bool(_INITIAL.search(data)):
            edits.append(f"{NAME}: target {contents.get('target')!r} is not that of {verilog.name}")
    lasts = [
        {"port": f"{port}__last", "boundary": b.name, "words": b.words_per_frame}
        for port, b in design.outputs.items()
        if marked
    ]
    return Origin(verilog, digest, {**contents, **expected, "lasts": lasts}, tuple(edits))


def _untrue(contents: Mapping[str, Any], design: Design) -> list[str]:
    """What ``contents`` say to people and other programs that does not hold for ``design``. Keys that are not there,
    as in earlier designs, are not missed."""
    figures, words = performance(design), layout(design)
    cycles = {f"{key}_cycles": figures[key] for key in ("latency", "interval")}
    return [
        f"{key}.{part}"
        for key, parts in (("network", summary(design)), ("predicted", cycles))
        for part, value in parts.items()
        if contents[key].get(part, value) != value
    ] + (["layout"] if contents.get("layout", words) != words else [])


def _difference(key: str, found: Any, expected: Any) -> str:
    if key == "boundaries" and isinstance(found, list):
        names = [each.get("name") for each in found], [each["name"] for each in expected]
        for what, more in (("lack", set(names[1]) - set(names[0])), ("have besides", set(names[0]) - set(names[1]))):
            if more:
                return f"the boundaries {what} {', '.join(sorted(map(str, more)))}, which is not the design's"
        other = next((name for name, a, b in zip(names[1], found, expected, strict=False) if a != b), names[1][0])
        return f"boundary {other!r} is not described as the design has it"
    return f"{key} are not those of the design"
