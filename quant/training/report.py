"""What a training says of itself: accuracy after each step, seconds of each phase."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

__all__ = ["Report"]


@dataclass
class Report:
    """Accuracy on the test split (0..1) after each step, in order, and the seconds each phase took.

    Steps of QCFS: ``float`` (ReLU); ``qcfs``; ``converted`` (the QCFS model made integers without training them);
    ``fake-quantised`` (the PyTorch model of the last phase); ``lossless`` and ``causal``, the integer networks.
    Steps of IntegerNet: ``fake-quantised`` and ``integers``, which are equal.
    """

    accuracy: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def lost(self) -> dict[str, float]:
        """The accuracy lost at each step: the one before minus this one (negative where it gained)."""
        names = list(self.accuracy)
        return {b: self.accuracy[a] - self.accuracy[b] for a, b in zip(names, names[1:], strict=False)}

    def meta(self) -> dict[str, str]:
        """The accuracies as a JSON string, for ``Network.meta``."""
        return {"accuracy": json.dumps({k: round(v, 6) for k, v in self.accuracy.items()})}
