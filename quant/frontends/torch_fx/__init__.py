"""Models of PyTorch, traced with torch.fx."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from ..float_graph import FloatGraph

__all__ = ["TorchFx"]


class TorchFx:
    """The front end of modules of PyTorch; see :func:`~.graph.read` for what it refuses."""

    name = "torch_fx"
    sources = "modules of PyTorch"

    def takes(self, source: object) -> bool:
        """Whether ``source`` is a module, which it cannot be where nobody has imported torch."""
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(source, torch.nn.Module)

    def read(self, source: nn.Module, shape: tuple[int, int, int] | None = None) -> FloatGraph:
        """The float graph of a trained module."""
        from .graph import read

        return read(source, shape)
