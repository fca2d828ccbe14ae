"""What leaves an upsampling, and its numpy model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...cost.parts import Parts
from ...streams.words import WordFormat
from ..protocol import CoreSpec

if TYPE_CHECKING:
    from .core import Upsampled

__all__ = ["UpsampleSpec"]


@dataclass(frozen=True, kw_only=True)
class UpsampleSpec(CoreSpec):
    """The words of an upsampling (``quant.ir.ops.upsample``), which leave as the window hands them out: it walks over
    every pixel and every row several times (``times`` of ``hdl.cores.window.geometry``), so nothing is left to do.

    Parameters: ``i_format``.
    """

    NAME: ClassVar[str] = "upsampled"

    i_format: WordFormat

    @property
    def o_format(self) -> WordFormat:
        """The same words."""
        return self.i_format

    @property
    def latency(self) -> int:
        """None."""
        return 0

    def compute(self, words: np.ndarray) -> np.ndarray:
        """Model: words (n, lanes, T) to the same words."""
        return self.i_format.checked(words)

    def parts(self) -> Parts:
        """Nothing."""
        return Parts()

    def core(self) -> Upsampled:
        """The hardware."""
        from .core import Upsampled

        return Upsampled(self)
