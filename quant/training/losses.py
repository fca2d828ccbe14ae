"""What training minimises: cross-entropy, with smoothed labels, and what a teacher says (Hinton, Vinyals, Dean,
"Distilling the knowledge in a neural network", arXiv 1503.02531)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

__all__ = ["loss_of"]


def loss_of(
    logits: Tensor,
    labels: Tensor,
    *,
    smoothing: float = 0.0,
    taught: Tensor | None = None,
    weight: float = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """(1 - w) * cross-entropy + w * t^2 * KL(softmax(taught / t) || softmax(logits / t)), the mean over the batch.

    ``logits`` and ``taught`` are (N, classes), ``labels`` (N,). The factor t^2 keeps the gradient's size when the
    temperature t changes. ``smoothing`` is the share of a label that is spread over all classes.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if taught is None:
        return loss
    ours, theirs = (F.log_softmax(x / temperature, 1) for x in (logits, taught))
    apart = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return (1 - weight) * loss + weight * temperature**2 * apart
