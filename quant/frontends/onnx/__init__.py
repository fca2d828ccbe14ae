"""Files of ONNX: networks of floats, and of integers as QONNX, QDQ and QLinear operators write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..protocol import Pixels

if TYPE_CHECKING:
    from ...ir.network import Network
    from ..float_graph import FloatGraph

__all__ = ["Onnx"]


class Onnx:
    """The front end of ``.onnx`` files: an integer network where the graph has quantisers, else a float graph. See
    :mod:`~.file` for what is no such file, and :func:`~.walk.Walk.run` for what is refused by name."""

    name = "onnx"
    sources = "files *.onnx"
    reads_pixels = True
    approximates = True

    def takes(self, source: object) -> bool:
        """Whether ``source`` is the name of such a file."""
        return isinstance(source, str | Path) and Path(source).suffix.lower() == ".onnx"

    def read(
        self, source: str | Path, shape: tuple[int, int, int] | None = None, pixels: Pixels | None = None,
        approximate: bool = False,
    ) -> FloatGraph | Network:  # fmt: skip
        """The float graph, or the integer network, of the file ``source``. ``shape`` (C, H, W) of the image, where the
        file leaves it open; ``pixels``, what an integer network takes; ``approximate``, whether sums that no integers
        give exactly are taken as near as they can be. Raises OnnxError for a file that is none,
        UnsupportedLayer and NetworkError."""
        from .file import load
        from .floats.reader import FloatReader
        from .graph import Graph
        from .integers.reader import IntegerReader

        graph = Graph.of(load(Path(source)), Path(source).name, shape)
        with np.errstate(all="ignore"):  # what is not finite is refused by name
            if graph.quantised:
                return IntegerReader(graph, pixels or Pixels(), approximate).network()
            return FloatReader(graph).graph_of_floats()
