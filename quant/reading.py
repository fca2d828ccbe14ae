"""What a conversion is asked for, and how its model is read: by its front end, told what that wants to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .files.pictures import Prepared
from .frontends.float_graph import FloatGraph
from .frontends.protocol import FrontEnd, FrontEndError, Neurons, Pixels
from .images import Images
from .ir.network import Network, NetworkError
from .seen import Seen

__all__ = ["Step", "Wanted", "read"]

Step = Callable[[str, float, int], None]
"""Called as step(what is done, units done, units in all)."""

OF_NEURONS = ("steps", "weight_bits", "first_bits", "last_bits")
"""Options that a front end which reads neurons takes itself."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a conversion is asked for, see :func:`spikeloom.api.convert`; ``options`` are the method's, those that are
    given."""

    options: Mapping[str, Any]
    shape: tuple[int, int, int] | None
    method: str | None
    calibrate: Any
    test: Any
    count: int
    test_count: int | None
    seen: Seen
    bits: int | None
    high: int | None
    prepared: Prepared
    meta: Mapping[str, str] | None
    approximate: bool
    source: str
    notice: Callable[[str], None]
    step: Step


def read(
    front_end: FrontEnd, model: Any, wanted: Wanted, found: Images | None
) -> tuple[FloatGraph | Network, Images | None]:
    """What the front end reads; grey images as three equal channels where the model takes colours. Raises
    FrontEndError for what is asked for and has no use, and what the front end raises."""
    shape = wanted.shape or (found.shape if found else None)
    more = _told(front_end, wanted, found)
    try:
        graph = front_end.read(model, shape, **more)
    except NetworkError:
        if found is None or not found.files or wanted.shape is not None or found.shape[0] != 1:
            raise
        colours = (3, *found.shape[1:])
        try:
            graph = front_end.read(model, colours, **more)
        except NetworkError:
            graph = None
        if graph is None:
            raise
        found = replace(found, name=f"{found.name}, grey as colours", pixels=found.pixels.repeat(3, 1))
    if wanted.approximate and not ("approximate" in more and isinstance(graph, Network)):
        raise FrontEndError(f"{front_end.name}: reads no integers here; leave out approximate (--approximate)")
    if isinstance(graph, Network):
        _check_unused(front_end, wanted, more)
        return graph, found
    if found is not None and graph.shape is not None:
        found = found.shaped(graph.shape)
    return graph, found


def _told(front_end: FrontEnd, wanted: Wanted, found: Images | None) -> dict[str, Any]:
    """The further arguments of ``front_end.read``, those that it wants (``frontends.protocol``)."""
    more, seen = dict[str, Any](), wanted.seen
    if getattr(front_end, "reads_pixels", False):
        high = wanted.high or (found.high if found else (1 << (wanted.bits or 8)) - 1)
        more["pixels"] = Pixels(high, *seen.pixels, seen.mean, seen.std)
    if wanted.approximate and getattr(front_end, "approximates", False):
        more["approximate"] = True
    if getattr(front_end, "reads_neurons", False):
        given = {key: wanted.options[key] for key in OF_NEURONS if key in wanted.options}
        more["neurons"] = Neurons(wanted.method or "", wanted.notice, **given)
    return more


def _check_unused(front_end: FrontEnd, wanted: Wanted, told: Mapping[str, Any]) -> None:
    """Raise FrontEndError for what is asked for of a network that was read, and which the front end was not told."""
    seen = wanted.seen
    given = {"method": wanted.method, **wanted.options, "calibrate": wanted.calibrate, "test": wanted.test}
    given |= {"meta": wanted.meta}
    if "pixels" not in told:
        given |= {"mean": seen.mean or None, "std": seen.std or None, "input_high": wanted.high}
        given |= {"pixel_range": None if seen.plain else seen.pixels, "input_bits": wanted.bits}
    used = OF_NEURONS if "neurons" in told else ()
    if unused := [key for key, value in given.items() if value is not None and key not in used]:
        what = "neurons as they are, unless a method is given (--method)" if used else "integers as they are"
        raise FrontEndError(f"{front_end.name}: reads {what}; leave out {', '.join(unused)}")
