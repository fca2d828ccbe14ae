"""Ordinary modules that cannot be converted, with the layer, the rule and the remedy that the refusal names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Case = tuple[Callable[[], nn.Module], tuple[int, int, int], str]

REFUSED: dict[str, Case] = {}
"""Those of the forty: what makes the module, the shape of its image, and a pattern of the message."""

MORE: dict[str, Case] = {}
"""Others, beyond the forty."""


def refused(pattern: str, *shape: int, into: dict[str, Case] = REFUSED) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """The decorated class is refused for images of ``shape``."""

    def known(kind: type[nn.Module]) -> type[nn.Module]:
        into[kind.__name__] = kind, (shape[0], shape[1], shape[2]), pattern
        return kind

    return known


@refused(r"^mul: a product of two results.*is not supported; supported: a number or a constant a channel", 3, 12, 12)
class SqueezeExcite(nn.Module):
    """Channels weighted by what the map itself says."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.reduce, self.expand = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        gate = F.relu6(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))) + 3) / 6
        return self.fc((x * gate).mean((2, 3)))


@refused(r"^norm: GroupNorm is not supported; supported: .*BatchNorm2d", 3, 12, 12)
class GroupNormed(nn.Module):
    """Statistics of every image by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))


@refused(r"^lstm: LSTM is not supported; supported: Conv2d", 1, 16, 16)
class RowsOfAnImage(nn.Module):
    """A recurrent network over the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(16, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        out, _ = self.lstm(x.squeeze(1))
        return self.fc(out[:, -1])


def sequence(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


class Way(nn.Module):
    """A forward of its own over a few layers."""

    def __init__(self, forward: Callable[[Any, Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        self.way = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> object:
        return self.way(self, x)


def way(forward: Callable[[Any, Tensor], object], **layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Way(forward, **layers)


IMAGE, CONV, FC = (3, 8, 8), nn.Conv2d(3, 4, 3), nn.Linear(144, 5)
MORE |= {
    "attention": (way(lambda m, x: m.fc(m.mha(*[m.a(x).flatten(2).transpose(1, 2)] * 3)[0].mean(1)), a=CONV,
                      mha=nn.MultiheadAttention(4, 2, batch_first=True), fc=nn.Linear(4, 5)), IMAGE,
                  r"^mha: MultiheadAttention is not supported; supported: Conv2d"),
    "a layer norm": (sequence(CONV, nn.LayerNorm([4, 6, 6]), nn.ReLU(), nn.Flatten(), FC), IMAGE,
                     r"^1: LayerNorm is not supported; supported: .*BatchNorm2d"),
    "upsampling": (sequence(CONV, nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Flatten(), FC), IMAGE,
                   r"^2: upsampling with mode='bilinear' is not supported; supported: .* mode nearest"),
    "a transposed convolution": (sequence(CONV, nn.ReLU(), nn.ConvTranspose2d(4, 2, 2), nn.Flatten()), IMAGE,
                                 r"^2: ConvTranspose2d is not supported; supported: Conv2d"),
    "mirrored padding": (sequence(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Flatten()), IMAGE,
                         r"^0: padding_mode='reflect' is not supported; supported: padding_mode='zeros'"),
    "a result of something else": (way(lambda m, x: (m.fc(F.relu(m.a(x)).flatten(1)), 3), a=CONV, fc=FC), IMAGE,
                                   r"^output: what is no tensor as a result .*; supported: a tensor, or a tuple, list"),
    "softmax of a map": (way(lambda m, x: F.softmax(m.a(x), 1), a=CONV), IMAGE,
                         r"^softmax: softmax .*the numbers before"),
    "statistics of the batch": (sequence(CONV, nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), FC), IMAGE,
                                r"^1: batch norm without running statistics .*; supported: track_running_stats=True"),
    "a branch on the data": (way(lambda m, x: m.fc(m.a(x).flatten(1)) if x.sum() > 0 else x, a=CONV, fc=FC), IMAGE,
                             r"^Way: its forward cannot be traced .*; supported: a forward without branches on its"),
    "a weight from the image": (way(lambda m, x: F.linear(h := m.a(x).flatten(1), h), a=CONV), IMAGE,
                                r"^linear: weight computed from the image is not supported; supported: a parameter"),
    "writing over a parameter": (way(lambda m, x: m.fc(F.conv2d(x, m.a.weight.mul_(1.0)).flatten(1)), a=CONV, fc=FC),
                                 IMAGE, r"^mul_: writing over a parameter or a buffer is not supported"),
    "the place of a maximum": (way(lambda m, x: torch.max(m.a(x).flatten(2), 2)[1].float(), a=CONV), IMAGE,
                               r"^getitem: the places of a maximum is not supported; supported: its values"),
    "two maps as logits": (way(lambda m, x: torch.cat((m.a(x), m.b(x)), 1), a=CONV, b=nn.Conv2d(3, 2, 3)), IMAGE,
                           r"^outputs: a result that is a concatenation.*; supported: its parts as results"),
}  # fmt: skip
