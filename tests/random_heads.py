"""Random heads of maps, for random networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import random_windows
from hypothesis import strategies as st

from spikeloom.quant.ir.ops import Conv2d, MapReadout, Node, Requant


def head(
    draw: st.DrawFn,
    number: int,
    sources: Sequence[str],
    sizes: Mapping[str, tuple[int, int, int]],
    synapse: Callable[..., None],
    quantised: bool,
    nodes: list[Node],
    rng: np.random.Generator,
) -> None:
    """Add a convolution of one of ``sources``, a quantiser or none, and the map of what they give, to ``nodes``."""
    entry, name = draw(st.sampled_from(sources), label=f"map {number} of"), f"map {number}"
    c, h, w = sizes[entry]
    windows = random_windows.convolution(draw, (h, w))
    channels = draw(st.sampled_from([1, 2, 3, 4, 6, 12]), label=f"{name} channels")
    geometry = {"stride": windows.stride, "padding": sum(windows.padding, ()), "dilation": windows.dilation}
    synapse(Conv2d, f"head{number}", (channels, c, *windows.kernel), entry, **geometry)
    if quantised and draw(st.integers(0, 3), label=f"{name} quantised") == 0:
        bias, shift = rng.integers(-9, 9, channels), rng.integers(0, 4, channels)
        nodes.append(Requant(name=f"head{number}_quant", source=nodes[-1].name, bias=bias, shift=shift, lo=-7, hi=7))
    bias = rng.integers(-20, 21, channels) * draw(st.integers(0, 1), label=f"{name} bias")
    nodes.append(MapReadout(name=name, source=nodes[-1].name, bias=bias))
