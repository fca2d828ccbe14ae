"""How large the numbers of a core may be, and what counts as integers: specs can be built without a network.

The numpy models compute in 64 bits, which wrap in silence. A network's own bound (``docs/network.md``) is smaller, so
that the generator may split a number between two cores, of which one gets more than the whole.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LARGEST", "largest", "reaches", "whole"]

LARGEST = 1 << 52
"""The largest magnitude of a number in a core."""


def whole(what: str, array: np.ndarray, axes: int) -> None:
    """Check that ``array`` is one of integers with so many axes, none of them empty, within :data:`LARGEST`.

    Raises TypeError for a wrong kind, ValueError for a wrong shape or value.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{what} must be a numpy array of integers, not {kind}")
    if array.ndim != axes or not array.size:
        raise ValueError(f"{what} must have {axes} axes, none of them empty, not shape {array.shape}")
    reaches(what, largest(array))


def largest(*arrays: np.ndarray) -> int:
    """The largest magnitude in ``arrays``, as a Python integer."""
    return max(max(abs(int(a.min())), abs(int(a.max()))) for a in arrays)


def reaches(what: str, magnitude: int) -> None:
    """Raise ValueError where ``magnitude``, a Python integer, is beyond :data:`LARGEST`."""
    if magnitude > LARGEST:
        raise ValueError(f"{what} must stay within +-2^52, in which the models are exact, not reach {magnitude:,}")
