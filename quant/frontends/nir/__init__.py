"""Files of NIR, the Neuromorphic Intermediate Representation: chains of layers with integrate-and-fire neurons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..protocol import Neurons, Pixels

if TYPE_CHECKING:
    from ...ir.network import Network
    from ..float_graph import FloatGraph

__all__ = ["Nir"]


class Nir:
    """The front end of ``.nir`` files, and of graphs of the package ``nir``: the network of their neurons, step by
    step, or with a method a float graph of their rates. ``docs/nir.md`` says what is taken and what stands for what;
    see :mod:`~.file` for what is no such file, and :mod:`~.walk` for what is refused by name.

    >>> Nir().takes("net.nir"), Nir().takes("net.onnx")
    (True, False)
    """

    name = "nir"
    sources = "files *.nir"
    reads_pixels = True
    reads_neurons = True

    def takes(self, source: object) -> bool:
        """Whether ``source`` is the name of such a file, or a graph, which it cannot be where nobody imported nir."""
        if isinstance(source, str | Path):
            return Path(source).suffix.lower() == ".nir"
        nir = sys.modules.get("nir")
        return nir is not None and isinstance(source, getattr(nir, "NIRGraph", ()))

    def read(
        self, source: Any, shape: tuple[int, int, int] | None = None, pixels: Pixels | None = None,
        neurons: Neurons | None = None,
    ) -> FloatGraph | Network:  # fmt: skip
        """The network of the file or graph ``source``; with a method in ``neurons`` its float graph. ``shape``
        (C, H, W) of an image, which must be that of its Input; ``pixels``, what the Input sees of one. Raises NirError
        for a file that is none, UnsupportedLayer and NetworkError, naming the node."""
        from .file import load, of_graph
        from .floats import float_graph
        from .integers import network
        from .walk import chain

        neurons = neurons or Neurons("", lambda _text: None)
        raw = load(Path(source)) if isinstance(source, str | Path) else of_graph(source)
        with np.errstate(all="ignore"):  # what is not finite is refused by name
            found = chain(raw, shape, neurons.notice)
            if neurons.method:
                return float_graph(found)
            return network(found, pixels or Pixels(), neurons)
