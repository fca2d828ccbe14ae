"""A NIR file, read with bounds: names, arrays and texts as they stand in it, and nothing that lies elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...ir.bounds import MOST_PARAMETERS

__all__ = ["MOST_BYTES", "MOST_NODES", "NirError", "RawGraph", "load", "of_graph"]

MOST_BYTES = 8 * MOST_PARAMETERS
"""The most bytes of a file, and of what stands in it: double floats for all that a network may hold."""

MOST_NODES = 10_000
"""The most nodes of a graph."""

DENSEST = 1100
"""Bytes that a byte of a file can stand for at most, which is what its compression can do."""

Field = np.ndarray | str


class NirError(ValueError):
    """A file that is no NIR file, is damaged or too large; the message names the file and the remedy."""


@dataclass(frozen=True)
class RawGraph:
    """A graph as it was written. ``nodes``: by name the fields of each, arrays and texts, ``type`` among them, and
    ``metadata``, a table of such; ``edges``, pairs of names; ``metadata`` of the graph; ``file``, its name."""

    nodes: dict[str, dict[str, Any]]
    edges: list[tuple[str, str]]
    metadata: dict[str, Field]
    file: str


def load(path: Path) -> RawGraph:
    """The graph in the file ``path``. Raises NirError, and OSError where the file cannot be opened at all."""
    import h5py

    size = path.stat().st_size
    if size > MOST_BYTES:
        raise NirError(f"{path}: has {size:,} bytes, supported: {MOST_BYTES:,}; export a smaller network")
    try:
        with h5py.File(path, "r") as file:
            tree = _Reader().group(file, 0)
    except NirError as error:
        raise NirError(f"{path}: {error}") from None
    except Exception as error:  # of many kinds, from the HDF5 library
        raise NirError(f"{path}: is no NIR file, or a damaged one ({error}); export it again") from None
    return _graph(tree.get("node"), str(path), path.name)


def of_graph(graph: Any) -> RawGraph:
    """The same of a graph of the package ``nir``. Raises NirError where it holds what is no array."""
    return _graph(_plain(graph.to_dict(), "graph"), "the NIR graph", "a NIR graph")


class _Reader:
    """Reads groups of HDF5, as many numbers as a network may hold, and follows no link."""

    def __init__(self) -> None:
        self.left = MOST_PARAMETERS

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        """What is in ``group``, groups in it as tables."""
        import h5py

        if depth > 6:
            raise NirError("has groups in groups in groups, supported: a graph of nodes; write it again")
        if len(group) > MOST_NODES:
            raise NirError(f"has {len(group):,} nodes, supported: {MOST_NODES:,}")
        found = dict[str, Any]()
        for key in group:
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise NirError(f"{key} is a link to another place, supported: files that hold all of their arrays")
            item = group[key]
            found[key] = self.group(item, depth + 1) if isinstance(item, h5py.Group) else self._field(key, item)
        return found

    def _field(self, key: str, item: Any) -> Field:
        if item.is_virtual or item.external:
            raise NirError(f"{key} lies in another file, supported: files that hold all of their arrays")
        stored, needed = item.id.get_storage_size(), (item.size or 0) * item.dtype.itemsize
        if needed > DENSEST * stored:
            raise NirError(f"{key} holds {needed:,} bytes in {stored:,}, so the file is damaged; export it again")
        self.left -= item.size or 0
        if self.left < 0:
            raise NirError(f"holds more than {MOST_PARAMETERS:,} numbers; export a smaller network")
        return _field(item[()], key)


def _field(value: Any, key: str) -> Field:
    """An array of numbers, or a text; of several texts an array of objects."""
    if isinstance(value, bytes):
        return value.decode("utf8")
    if isinstance(value, str):
        return str(value)
    array = np.asarray(value)
    if array.dtype.kind not in "iufbOSU":
        raise NirError(f"{key} holds {array.dtype}, supported: integers, floats and texts")
    return array


def _plain(value: Any, key: str) -> Any:
    """What a graph gives as tables, in the form of a file."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each, str(name)) for name, each in value.items() if each is not None}
    if key == "edges":
        return np.array([[*map(str, edge)] for edge in value], dtype=object).reshape(-1, 2)
    return _field(value, key)


def _graph(tree: Any, where: str, file: str) -> RawGraph:
    nodes = tree.get("nodes") if isinstance(tree, dict) else None
    edges = tree.get("edges") if isinstance(tree, dict) else None
    if not isinstance(nodes, dict) or not isinstance(edges, np.ndarray) or edges.shape[1:] != (2,):
        raise NirError(f"{where}: has no graph of nodes and edges; write a nir.NIRGraph with nir.write")
    for name, node in nodes.items():
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            raise NirError(f"{where}: {name} has no type; write it again with nir.write")
    pairs = [(_field(a, "edges"), _field(b, "edges")) for a, b in edges]
    if not all(isinstance(end, str) for pair in pairs for end in pair):
        raise NirError(f"{where}: its edges are no names of nodes; write it again with nir.write")
    metadata = tree.get("metadata", {})
    return RawGraph(nodes, pairs, metadata if isinstance(metadata, dict) else {}, file)  # type: ignore[arg-type]
