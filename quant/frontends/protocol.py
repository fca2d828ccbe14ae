"""What a front end is, and how the one for a source is found.

A front end reads what people bring, an object or the path of a file, and gives a float graph, which the conversion
rounds to integers, or an integer network, where the source has integers already. It is found by an entry point of the
group :data:`GROUP`, of this package (``pyproject.toml``) or of any other: ``docs/adding/frontend.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from ..ir.network import Network
from .float_graph import FloatGraph

__all__ = ["GROUP", "FrontEnd", "FrontEndError", "Neurons", "Pixels", "find"]

GROUP = "spikeloom.frontends"
"""The group of entry points, each of which refers to the class of a front end."""


class FrontEndError(ValueError):
    """A source that no front end takes, or several; the message names the installed ones and the remedy."""


class Pixels(NamedTuple):
    """What a model sees of a pixel p in 0..``high``: (black + (white - black) * p / high - mean) / std, with a ``mean``
    and a ``std`` for each channel, or one for all, or none."""

    high: int = 255
    black: float = 0.0
    white: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class Neurons(NamedTuple):
    """What is asked for of a source that has spiking neurons: the ``method`` that converts it as rates, in 0..1, or
    none for its neurons as they are; then ``steps``, T, None for what the source says, and the bits of weights that are
    no integers, of the first and the last layer too. ``notice`` is called with a warning."""

    method: str
    notice: Callable[[str], None]
    steps: int | None = None
    weight_bits: int = 8
    first_bits: int | None = None
    last_bits: int | None = None


class FrontEnd(Protocol):
    """A class of these names, which is called without arguments.

    All that are installed are asked about every source: packages that reading alone needs are imported in :meth:`read`.
    One that has ``reads_pixels = True`` is given a third argument to :meth:`read`, ``pixels`` (:class:`Pixels`), for
    networks of integers in which they are used up. One that has ``approximates = True`` is given ``approximate=True``
    where its user asks for it: integers that no network gives exactly are then taken as near as can be, and the
    ``meta`` of the network says in ``approximate`` how far off they are. One that has ``reads_neurons = True`` is
    given ``neurons`` (:class:`Neurons`), and gives a network where that has no method, else a float graph of rates.
    """

    @property
    def name(self) -> str:
        """One word, that of the entry point."""
        ...

    @property
    def sources(self) -> str:
        """What it takes, as a message lists it: "modules of PyTorch"."""
        ...

    def takes(self, source: object) -> bool:
        """Whether ``source``, an object or the path of a file (str or Path), is for this front end; never raises."""
        ...

    def read(self, source: Any, shape: tuple[int, int, int] | None = None) -> FloatGraph | Network:
        """The float graph of ``source`` (:meth:`~.float_graph.FloatGraph.of`), or its integer network.

        ``shape`` (C, H, W) of the image, where the user says it. Raises UnsupportedLayer, naming the layer, the rule
        and what is supported instead, for everything that has no counterpart: nothing is skipped silently. Raises
        NetworkError where the sizes of layers do not fit each other.
        """
        ...


def find(source: object) -> FrontEnd:
    """The front end that takes ``source``. Raises FrontEndError where none does, or more than one."""
    found, known = list[FrontEnd](), list[str]()
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            front_end: FrontEnd = entry.load()()
        except ImportError as error:  # of a package of its own that is not installed
            known.append(f"{entry.name} (cannot be imported: {error})")
            continue
        known.append(f"{front_end.name} ({front_end.sources})")
        if front_end.takes(source):
            found.append(front_end)
    if len(found) == 1:
        return found[0]
    what = repr(str(source)) if isinstance(source, str) or hasattr(source, "__fspath__") else type(source).__name__
    if found:
        names = " and ".join(front_end.name for front_end in found)
        raise FrontEndError(f"{what}: is taken by several front ends, {names}; uninstall all but one")
    raise FrontEndError(
        f"{what}: is taken by no front end; installed: {', '.join(known) or 'none, so install spikeloom again'}; "
        f"convert it to one of these, or install or write its front end (docs/adding/frontend.md)"
    )
