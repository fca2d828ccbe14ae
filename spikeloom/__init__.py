"""Trained PyTorch networks to streaming integer accelerators in Verilog, verified cycle for cycle.

>>> import spikeloom
>>> network = spikeloom.convert(model, calibrate=(pixels, labels))  # or spikeloom.load("digits.safetensors")
>>> spikeloom.generate(network, "out/digits")
>>> spikeloom.verify("out/digits", spikeloom.frames(network, "digits", 100).pixels).passed

Importing this package loads nothing else; each call loads what it needs, and :func:`generate` never loads torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import convert, evaluate, export, frames, generate, load, outputs, report, save, train, verify

    __version__: str

__all__ = ["__version__", "convert", "evaluate", "export", "frames", "generate", "load", "outputs",
           "report", "save", "train", "verify"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("spikeloom")
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
