"""Network files: one ``.safetensors`` file, tensors plus a JSON header with the format version. Never pickle."""

from __future__ import annotations

import json
import math
import stat
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..files.replacing import replacing
from ..files.shapes import Either, Integer, ListOf, Table, TableOf, Text, Truth, Value, check
from ..files.texts import TextError, parse_json, shown
from .arrays import Arrays, array_fields, check_shapes, left_out
from .bounds import MOST_PARAMETERS, text
from .network import Network
from .ops import NODE_TYPES, NetworkError, Node
from .signal import Signal

__all__ = ["FORMAT", "LARGEST_HEADER", "load", "save"]

FORMAT = 1
"""Version of the file format; a reader refuses other versions."""

LARGEST_HEADER = 8 << 20
"""Bytes of a header. The one of a ResNet-20 has 20,000."""

LARGEST_FILE = 8 + LARGEST_HEADER + 8 * MOST_PARAMETERS
"""Bytes of a file: its header, and numbers of 64 bits."""

HEADER = Table(
    {"format": Integer(), "steps": Integer(), "hash": Text(), "meta": TableOf(Text()), "nodes": ListOf(Table())},
    closed=True,
)
"""What the text of the header holds."""

FIELDS: dict[str, Value] = {
    "str": Text(), "int": Integer(), "bool": Truth(), "tuple[int, int, int]": ListOf(Integer(), 3),
    "Pair": Either(Integer(), ListOf(Integer(), 2)),
    "Sides": Either(Integer(), ListOf(Integer(), 2), ListOf(Integer(), 4)),
}  # fmt: skip
"""What a file has for a field of a node that is no array, by the type of the field."""


def save(network: Network, path: str | Path) -> None:
    """Write ``network`` to ``path``: first to a temporary name beside it, then renamed."""
    path = Path(path)
    tensors = {f"{node.name}/{key}": _narrow(array) for node in network for key, array in node.arrays().items()}
    # One entry only: safetensors writes several in random order, and the same network must give the same bytes.
    header = {
        "spikeloom": json.dumps(
            {
                "format": FORMAT,
                "steps": network.steps,
                "hash": network.hash,
                "meta": dict(sorted(network.meta.items())),
                "nodes": [{"type": type(n).__name__, **n.settings()} for n in network],
            }
        )
    }
    if len(header["spikeloom"]) > LARGEST_HEADER // 4:
        raise NetworkError(f"{path}: nodes and meta take {len(header['spikeloom']):,} bytes, too many for a header")
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(path: str | Path) -> Network:
    """Read a network file. Raises NetworkError, naming the file, where it is truncated, foreign or damaged.

    Nothing but the header is read before it is known that every array belongs to a node and has the shape that the
    node needs, so that a file that is wrong is refused at once, however large it is.
    """
    path = Path(path)
    _check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return _network(file.metadata() or {}, Arrays(file))
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None
    except (SafetensorError, OSError, MemoryError) as error:
        raise NetworkError(f"{path}: not a readable network file ({error}); it may be truncated") from None


def _check_header(path: Path) -> None:
    """Refuse what is no file, or has a header that is too long, too deep or not unique: all that the library takes."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a file"
            raise NetworkError(f"{path}: {kind}; name a network file (.safetensors)")
        if status.st_size > LARGEST_FILE:
            raise NetworkError(f"{path}: has {status.st_size:,} bytes, more than any network file ({LARGEST_FILE:,})")
        with path.open("rb") as file:
            size = int.from_bytes(start := file.read(8), "little")
            if len(start) == 8 and LARGEST_HEADER < size <= status.st_size - 8:
                raise NetworkError(
                    f"{path}: not a readable network file: its header has {size:,} bytes, supported: {LARGEST_HEADER:,}"
                )
            if len(start) < 8 or size > status.st_size - 8:
                raise NetworkError(f"{path}: not a readable network file, or truncated: it ends before its header does")
            parse_json(file.read(size))
    except FileNotFoundError:
        raise NetworkError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, NetworkError):
            raise
        raise NetworkError(f"{path}: not a readable network file ({error}); it may be truncated") from None


def _network(header: dict[str, str], arrays: Arrays) -> Network:
    """The network of the header's text and of the arrays that its nodes need."""
    if "spikeloom" not in header:
        raise NetworkError("a safetensors file, but not a network of Spikeloom; make one with 'spikeloom train'")
    try:
        entries = parse_json(header["spikeloom"])
    except TextError as error:
        raise NetworkError(f"damaged network file ({error})") from None
    check(entries, Table({"format": Integer()}), "header", NetworkError)
    if entries["format"] != FORMAT:
        raise NetworkError(f"format version {entries['format']}, this program reads version {FORMAT}")
    check(entries, HEADER, "header", NetworkError)
    tables = [_entry(k, entry) for k, entry in enumerate(entries["nodes"])]
    needed = {
        f"{entry['name']}/{key}": key not in left_out(kind) for kind, entry in tables for key in array_fields(kind)
    }
    if foreign := [key for key in arrays.names if key not in needed]:
        raise NetworkError(f"array {shown(foreign[0])} belongs to no node; the file was changed or damaged")
    if missing := [key for key, must in needed.items() if must and key not in arrays.names]:
        raise NetworkError(f"array {shown(missing[0])} is missing; the file was changed or damaged")
    nodes: dict[str, Node] = {}
    signals: dict[str, Signal] = {}
    left = MOST_PARAMETERS
    for kind, entry in tables:
        name, sources = entry["name"], kind.sources_of(entry)
        if unknown := [source for source in sources if source not in signals]:
            raise NetworkError(f"{name}: its source is {shown(unknown[0])}, which is not among the nodes before it")
        if name in nodes:
            raise NetworkError(f"{name}: names must be unique and not empty")
        shapes = {key: arrays.shape(name, key) for key in array_fields(kind) if f"{name}/{key}" in arrays.names}
        check_shapes(kind, entry, shapes, [signals[source] for source in sources])
        if (left := left - sum(map(math.prod, shapes.values()))) < 0:
            raise NetworkError(f"{name}: the arrays have more than {MOST_PARAMETERS:,} numbers up to here")
        values: dict[str, Any] = entry | {key: arrays.read(name, key) for key in shapes}
        nodes[name] = kind(**values)
        signals[name] = nodes[name].signal([signals[source] for source in sources], entries["steps"])
    network = Network(nodes=tuple(nodes.values()), steps=entries["steps"], meta=entries["meta"])
    if network.hash != entries["hash"]:
        raise NetworkError("the hash in the header does not fit the contents; the file was changed or damaged")
    return network


def _entry(k: int, entry: Any) -> tuple[type[Node], dict[str, Any]]:
    """The type of the ``k``-th node and its fields that are not arrays."""
    check(entry, Table({"type": Text(), "name": Text()}), f"node {k}", NetworkError)
    name, kind = text(f"node {k}", "name", entry["name"]), NODE_TYPES.get(entry["type"])
    if kind is None:
        raise NetworkError(f"{name}: node type {shown(entry['type'])} is unknown; supported: {', '.join(NODE_TYPES)}")
    single = [f for f in fields(kind) if f.name not in array_fields(kind)]
    needed: dict[str, Value] = {f.name: FIELDS[str(f.type)] for f in single if f.default is MISSING}
    more: dict[str, Value] = {f.name: FIELDS[str(f.type)] for f in single if f.default is not MISSING}
    values = {key: value for key, value in entry.items() if key != "type"}
    check(values, Table(needed, more, closed=True), name, NetworkError)
    return kind, values


def _narrow(array: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest type that holds them."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    kinds = (np.int8, np.int16, np.int32, np.int64)
    return array.astype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


