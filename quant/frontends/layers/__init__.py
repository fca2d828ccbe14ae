"""The layers of a float graph, what every front end makes of a model: a file for each kind, which is found by itself.

A layer is one of three things. :class:`Currents` (weights, shortcuts, their sums) add up in front of an activation; an
:class:`Activation` makes values or spikes of them; a :class:`Passing` layer, such as a pool, has nothing to be trained
and no threshold: integers go through it as they are. What takes float graphs knows these three, and asks a passing
layer itself what it does to numbers, to what they are worth and to their trains in time.
"""

from __future__ import annotations

import importlib
import pkgutil

from .activation import Activation
from .base import IMAGE, Currents, Layer, Passing, Shape, UnsupportedLayer, refuse
from .concat import Concat, Heads, Select
from .curve import Curve
from .flat import Flat
from .norm import Norm
from .pad import Pad
from .pool import Pool
from .resample import Repeated, Resample
from .shortcut import Shortcut
from .sum import Sum
from .weights import Convolution, Weights

__all__ = [
    "IMAGE",
    "Activation",
    "Concat",
    "Convolution",
    "Currents",
    "Curve",
    "Flat",
    "Heads",
    "Layer",
    "Norm",
    "Pad",
    "Passing",
    "Pool",
    "Repeated",
    "Resample",
    "Select",
    "Shape",
    "Shortcut",
    "Sum",
    "UnsupportedLayer",
    "Weights",
    "refuse",
]

for _module in pkgutil.iter_modules(__path__):  # each says how front ends read it
    importlib.import_module(f"{__name__}.{_module.name}")
