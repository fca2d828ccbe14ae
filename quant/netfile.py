"""Network files: one ``.safetensors`` file, tensors plus a JSON header with the format version. Never pickle."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .files import replacing
from .network import Network
from .nodes import NODE_TYPES, NetworkError, Node

__all__ = ["FORMAT", "load", "save"]

FORMAT = 1
"""Version of the file format; a reader refuses other versions."""


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
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(path: str | Path) -> Network:
    """Read a network file. Raises NetworkError, naming the file, where it is truncated, foreign or damaged."""
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise NetworkError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise NetworkError(f"{path}: not a readable network file ({error}); it may be truncated") from None
    if "spikeloom" not in header:
        raise NetworkError(
            f"{path}: a safetensors file, but not a network of Spikeloom; make one with 'spikeloom train'"
        )
    try:
        entries = json.loads(header["spikeloom"])
        if entries["format"] != FORMAT:
            raise NetworkError(f"format version {entries['format']}, this program reads version {FORMAT}")
        nodes = [_node(entry, tensors) for entry in entries["nodes"]]
        network = Network(nodes=tuple(nodes), steps=entries["steps"], meta=entries["meta"])
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkError(f"{path}: damaged network file ({type(error).__name__}: {error})") from None
    if network.hash != entries.get("hash"):
        raise NetworkError(f"{path}: the hash in the header does not fit the contents; the file was changed or damaged")
    return network


def _narrow(array: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest type that holds them."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    kinds = (np.int8, np.int16, np.int32, np.int64)
    return array.astype(next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max))


def _node(entry: dict, tensors: dict) -> Node:
    kind = NODE_TYPES.get(entry["type"])
    if kind is None:
        raise NetworkError(
            f"{entry.get('name')}: node type {entry['type']!r} is unknown; supported: {', '.join(NODE_TYPES)}"
        )
    names = {f.name for f in fields(kind)}
    values = {key: value for key, value in entry.items() if key in names}
    values |= {
        key.rpartition("/")[2]: array for key, array in tensors.items() if key.rpartition("/")[0] == entry["name"]
    }
    return kind(**values)
