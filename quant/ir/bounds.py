"""What counts as an integer of a network, and how large it may be: ``docs/network.md``, "Bounds", in code.

All arithmetic on networks is done in 64 bits, by numpy and PyTorch, which wrap in silence. So no number, given or
derived, may come near: beyond :data:`LARGEST` a network is refused. Ranges are derived in Python integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "LARGEST",
    "LONGEST_NAME",
    "MOST_ELEMENTS",
    "MOST_PARAMETERS",
    "MOST_STEPS",
    "MOST_STRIDE",
    "NetworkError",
    "flag",
    "integer",
    "integers",
    "one_of",
    "text",
    "within",
]

LARGEST = 1 << 48
"""The largest magnitude of a number in a network: of those that nodes hold, and of all that inputs can make of them."""

MOST_ELEMENTS = 1 << 26
"""The most numbers (C * H * W) that a node may give for a frame and a time step."""

MOST_PARAMETERS = 1 << 28
"""The most numbers in the arrays of all nodes together."""

MOST_STEPS = 64
"""The largest number of time steps, T."""

LONGEST_NAME = 255
"""Characters of the name of a node."""

MOST_STRIDE = 1 << 16
"""The largest stride, and dilation."""


class NetworkError(ValueError):
    """A network that breaks a rule of ``docs/network.md``; the message names the node, the rule and the remedy."""


def integers(name: str, what: str, value: Any) -> np.ndarray:
    """Return ``value`` as a read-only int64 array; ``name`` is that of its node, ``what`` that of the field.

    Whole floats are taken, for what comes out of a calculation is often one. Raises NetworkError for all that is not
    whole, or beyond :data:`LARGEST`.
    """
    array = _array(name, what, value)
    if array.dtype.kind == "O" and array.size and all(type(v) is int for v in array.flat):
        pass  # beyond 64 bits, or given as objects: compared below as they are
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise NetworkError(f"{name}: {what} holds NaN or infinity; a network holds finite integers only")
        if (array != np.rint(array)).any():
            raise NetworkError(f"{name}: {what} holds fractions; a network holds integers only, convert it first")
    elif array.dtype.kind not in "iu":
        raise NetworkError(f"{name}: {what} must be integers, not {array.dtype}")
    if array.size:
        within(name, what, int(array.min()), int(array.max()))
    array = np.array(array, dtype=np.int64, order="C")  # network files hold rows, whatever order came in
    array.setflags(write=False)
    return array


def _array(name: str, what: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # ragged rows; tensors of other devices
        raise NetworkError(f"{name}: {what} is no array of integers ({error})") from None


def within(name: str, what: str, low: int, high: int) -> None:
    """Raise NetworkError where the range ``low``..``high``, of Python integers, goes beyond :data:`LARGEST`."""
    worst = max(low, high, key=abs)
    if abs(worst) > LARGEST:
        raise NetworkError(
            f"{name}: {what} reaches {worst:,}, beyond +-2^48, the bound of a network; divide weights, thresholds and "
            "biases by a common factor"
        )


def integer(name: str, what: str, value: Any) -> int:
    """Return ``value``, a Python or numpy integer, as a Python integer. Raises NetworkError for floats and flags."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise _refusal(name, what, "an integer", value)


def flag(name: str, what: str, value: Any) -> bool:
    """Return ``value``, which must be True or False."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise _refusal(name, what, "True or False", value)


def text(name: str, what: str, value: Any) -> str:
    """Return ``value``, which must be a line of printable text, for it goes into files, reports and Verilog."""
    if isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME:
        return str(value)
    raise _refusal(name, what, f"printable text of up to {LONGEST_NAME} characters", value)


def _refusal(name: str, what: str, kind: str, value: Any) -> NetworkError:
    simple = value is None or isinstance(value, str | int | float | np.generic)
    return NetworkError(f"{name}: {what} must be {kind}, not {f'{value!r:.60}' if simple else type(value).__name__}")


def one_of(names: Iterable[str]) -> str:
    """``names`` as a message lists them: 'a', 'b' or 'c'."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last
