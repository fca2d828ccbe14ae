"""The network of the face detector, for the weights ``ultralight-face-slim-320.pth``: features at four strides, and a
head of scores and one of boxes at each."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["BOXES", "STRIDES", "Slim"]

STRIDES = (8, 16, 32, 64)
"""Pixels of the image from one cell of a map to the next."""

BOXES = (3, 2, 2, 3)
"""How many boxes each cell of these maps tells."""

WIDTHS = (1, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 16, 16)
"""Channels of the thirteen blocks, in multiples of the first."""

HALVED = (0, 2, 4, 8, 11)
"""The blocks with a stride of 2."""

TOLD = (7, 10, 12, 13)
"""The blocks whose results the pairs of heads take; the last one is behind the thirteen."""


def _block(ins: int, outs: int, stride: int) -> nn.Sequential:
    """A depthwise convolution and a pointwise one."""
    return nn.Sequential(
        nn.Conv2d(ins, ins, 3, stride, 1, groups=ins, bias=False), nn.BatchNorm2d(ins), nn.ReLU(),
        nn.Conv2d(ins, outs, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU(),
    )  # fmt: skip


def _separable(ins: int, outs: int, stride: int = 1) -> nn.Sequential:
    """The same without batch norm, and with nothing behind it."""
    return nn.Sequential(nn.Conv2d(ins, ins, 3, stride, 1, groups=ins), nn.ReLU(), nn.Conv2d(ins, outs, 1))


class Slim(nn.Module):
    """Thirteen blocks of ``base`` to 16 * ``base`` channels, and one with a bottleneck behind them.

    It takes images (N, 3, H, W) as (x - 127) / 128 of pixels x in 0..255, RGB; H and W are best multiples of 64, or 240
    and 320 as it was trained. It gives, for each stride s of :data:`STRIDES`, ``scores`` (N, 2 * k, h, w), for k boxes
    of a cell what speaks against a face and for one, and ``boxes`` (N, 4 * k, h, w), of each box its place and size
    as ``boxes.py`` decodes them. The names of its parameters are those of the published weights, so they load
    strictly.

    >>> import torch
    >>> {name: tuple(map.shape) for name, map in Slim(2)(torch.zeros(1, 3, 64, 64)).items()}["boxes8"]
    (1, 12, 8, 8)
    """

    def __init__(self, base: int = 16) -> None:
        super().__init__()
        widths = [base * width for width in WIDTHS]
        first = nn.Sequential(nn.Conv2d(3, base, 3, 2, 1, bias=False), nn.BatchNorm2d(base), nn.ReLU())
        self.base_net = nn.Sequential(
            first, *(_block(widths[k - 1], widths[k], 2 if k in HALVED else 1) for k in range(1, len(widths)))
        )
        last, inside = widths[-1], 4 * base
        self.extras = nn.ModuleList([
            nn.Sequential(nn.Conv2d(last, inside, 1), nn.ReLU(), _separable(inside, last, 2), nn.ReLU())
        ])  # fmt: skip
        told = [*(widths[k] for k in TOLD[:-1]), last]
        self.classification_headers = self._heads(told, 2)
        self.regression_headers = self._heads(told, 4)

    @staticmethod
    def _heads(told: list[int], numbers: int) -> nn.ModuleList:
        """A head at each stride, with so many ``numbers`` a box; ``told``, the channels of the features."""
        heads: list[nn.Module] = [_separable(c, k * numbers) for c, k in zip(told[:-1], BOXES, strict=False)]
        return nn.ModuleList([*heads, nn.Conv2d(told[-1], BOXES[-1] * numbers, 3, padding=1)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The maps of all heads, by name."""
        found = dict[str, Tensor]()
        for k, block in enumerate([*self.base_net, *self.extras]):
            x = block(x)
            if k in TOLD:
                at = TOLD.index(k)
                found[f"scores{STRIDES[at]}"] = self.classification_headers[at](x)
                found[f"boxes{STRIDES[at]}"] = self.regression_headers[at](x)
        return found
