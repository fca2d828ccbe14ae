"""Execute a network by whichever model there is: the golden model in PyTorch, or plain NumPy without it.

Both follow ``docs/network.md`` and share no arithmetic; tests hold them equal. Training needs PyTorch, verification and
evaluation do not.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

import numpy as np

from .ir.network import Network
from .result import Progress, Result

__all__ = ["model", "run"]


@functools.cache
def model() -> str:
    """The library that computes: "PyTorch" or "NumPy"."""
    try:
        import torch as _torch  # noqa: F401
    except ModuleNotFoundError:
        return "NumPy"
    return "PyTorch"


def run(
    network: Network,
    frames: np.ndarray,
    *,
    batch: int | None = None,
    keep: Collection[str] | None = None,
    counts: Collection[str] = (),
    progress: Progress | None = None,
) -> Result:
    """What ``network`` gives for ``frames``; parameters, result and errors are those of ``quant.golden.run``."""
    if model() == "NumPy":
        from . import reference as executor
    else:
        from . import golden as executor
    return executor.run(network, frames, batch=batch, keep=keep, counts=counts, progress=progress)
