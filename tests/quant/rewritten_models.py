"""Models that say in other words what the conversion knows: a forward and its modules, by what they show."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import BatchNorm2d, Conv2d, Linear

SHAPE = (2, 8, 8)

Forward = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """A model of ``modules`` with a forward of its own; batch norms have statistics and weights of their own."""

    def __init__(self, forward: Forward, **modules: nn.Module) -> None:
        super().__init__()
        self.way = forward
        for name, module in modules.items():
            self.add_module(name, copy.deepcopy(module))
        random = torch.Generator().manual_seed(0)
        for module in self.modules():
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.is_floating_point():
                    tensor.data.copy_(torch.rand(tensor.shape, generator=random) - 0.4)
            if isinstance(module, BatchNorm2d | nn.BatchNorm1d):
                module.running_var.abs_().add_(0.3)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def shuffle(x: Tensor, groups: int, *, whole: bool) -> Tensor:
    b, c, h, w = x.size() if whole else x.shape
    x = x.view(b, groups, c // groups, h, w).transpose(1, 2).contiguous()
    return x.view(b, -1, h, w) if whole else x.view(b, c, h, w)


def two(m: Any, x: Tensor) -> Tensor:
    return torch.cat([F.relu(m.a(x)), F.relu(m.b(x))], 1)


def dense(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    h = torch.cat([h, m.b(F.relu(m.n1(h)))], 1)
    return m.fc(F.relu(m.n(h)).mean((2, 3)))


def unit(m: Any, x: Tensor) -> Tensor:
    h = F.relu(m.a(x))
    one, other = h.chunk(2, dim=1)
    return m.fc(F.relu(m.b(shuffle(torch.cat([one, F.relu(m.c(other))], 1), 2, whole=True))).flatten(1))


def pre(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    return m.fc(F.relu(m.n2(h + m.b(F.relu(m.n1(h))))).flatten(1))


def chain(m: Any, x: Tensor) -> Tensor:
    h = m.a(x)
    for conv, norm in ((m.c0, m.n0), (m.c1, m.n1), (m.c2, m.n2), (m.c3, m.n3)):
        h = h + conv(F.relu(norm(h)))
    return m.fc(F.relu(m.n4(h)).flatten(1))


def conv(*sizes: int, **settings: Any) -> Conv2d:
    return Conv2d(*sizes, **settings)


AB = {"a": conv(2, 3, 3, padding=1), "b": conv(2, 4, 1)}
A, POOL = {"a": conv(2, 3, 3)}, nn.AdaptiveAvgPool2d
MODELS: dict[str, tuple[Forward, Mapping[str, nn.Module]]] = {
    "a Linear over a concatenation": (lambda m, x: m.fc(two(m, x).flatten(1)), AB | {"fc": Linear(448, 5)}),
    "a convolution over a concatenation": (
        lambda m, x: m.fc(F.max_pool2d(F.relu(m.c(two(m, x))), 2).flatten(1)),
        AB | {"c": conv(7, 3, 3), "fc": Linear(27, 5)},
    ),
    "the same twice": (
        lambda m, x: m.fc(F.relu(m.c(torch.cat([h := F.relu(m.a(x)), h], 1))).flatten(1)),
        A | {"c": conv(6, 3, 3), "fc": Linear(48, 5)},
    ),
    "with the image": (
        lambda m, x: m.fc(F.relu(m.c(torch.cat([x, F.relu(m.a(x))], 1))).flatten(1)),
        {"a": AB["a"], "c": conv(5, 3, 3), "fc": Linear(108, 5)},
    ),
    "a pool of a concatenation": (lambda m, x: m.fc(F.avg_pool2d(two(m, x), 4).flatten(1)), AB | {"fc": Linear(28, 5)}),
    "an activation of a concatenation": (
        lambda m, x: m.fc(F.relu(torch.cat([m.a(x), m.b(x)], 1)).flatten(1)),
        AB | {"fc": Linear(448, 5)},
    ),
    "depthwise over a concatenation": (
        lambda m, x: m.fc(F.relu(m.n(m.c(two(m, x)))).flatten(1)),
        AB | {"c": conv(7, 14, 3, groups=7), "n": BatchNorm2d(14), "fc": Linear(504, 5)},
    ),
    "a sum with a concatenation": (
        lambda m, x: m.fc(F.relu(two(m, x) + m.c(x)).flatten(1)),
        AB | {"c": conv(2, 7, 1), "fc": Linear(448, 5)},
    ),
    "a sum with a shuffle": (
        lambda m, x: m.fc(F.relu(m.c(x) + F.channel_shuffle(F.relu(m.d(x)), 2)).flatten(1)),
        {"c": conv(2, 4, 1), "d": conv(2, 4, 1), "fc": Linear(256, 5)},
    ),
    "dense": (dense, AB | {"b": conv(3, 4, 1), "n": BatchNorm2d(7), "n1": BatchNorm2d(3), "fc": Linear(7, 5)}),
    "half of the channels": (
        unit,
        {"a": conv(2, 6, 3, padding=1), "c": conv(3, 3, 1), "b": conv(6, 4, 1), "fc": Linear(256, 5)},
    ),
    "a shuffle": (
        lambda m, x: m.fc(F.relu(m.b(shuffle(F.relu(m.a(x)), 3, whole=False))).flatten(1)),
        {"a": conv(2, 6, 3, padding=1), "b": conv(6, 4, 1), "fc": Linear(256, 5)},
    ),
    "a shuffle module": (
        lambda m, x: m.fc(F.relu(m.b(m.s(F.relu(m.a(x))))).flatten(1)),
        {"a": conv(2, 6, 3, padding=1), "s": nn.ChannelShuffle(2), "b": conv(6, 4, 1), "fc": Linear(256, 5)},
    ),
    "channels by an index": (
        lambda m, x: m.fc(torch.cat([x[:, 1:], F.relu(m.a(x))[:, ::2]], 1).flatten(1)),
        {"a": AB["a"], "fc": Linear(192, 5)},
    ),
    "split": (
        lambda m, x: m.fc(F.relu(m.b(F.relu(m.a(x)).split([1, 2], 1)[1])).flatten(1)),
        A | {"b": conv(2, 3, 1), "fc": Linear(108, 5)},
    ),
    "batch norm behind a sum": (
        lambda m, x: m.fc(F.relu(m.n(m.a(x) + m.b(x))).flatten(1)),
        {"a": AB["a"], "b": conv(2, 3, 1), "n": BatchNorm2d(3), "fc": Linear(192, 5)},
    ),
    "batch norm behind a sum with a shortcut": (
        lambda m, x: m.fc(F.relu(m.n(m.a(x) + x)).flatten(1)),
        {"a": conv(2, 2, 1), "n": BatchNorm2d(2), "fc": Linear(128, 5)},
    ),
    "batch norm in front of a padded convolution": (
        lambda m, x: m.fc(F.relu(m.b(m.n(F.relu(m.a(x))))).flatten(1)),
        A | {"n": BatchNorm2d(3), "b": conv(3, 3, 3, padding=1), "fc": Linear(108, 5)},
    ),
    "batch norm behind a pool": (
        lambda m, x: m.fc(F.relu(m.n(F.max_pool2d(F.relu(m.a(x)), 2))).flatten(1)),
        A | {"n": BatchNorm2d(3), "fc": Linear(27, 5)},
    ),
    "pre-activation": (
        pre,
        A | {"b": conv(3, 3, 3, padding=1), "n1": BatchNorm2d(3), "n2": BatchNorm2d(3), "fc": Linear(108, 5)},
    ),
    "two Linears": (
        lambda m, x: m.fc(m.fc1(F.relu(m.a(x)).flatten(1))),
        A | {"fc1": Linear(108, 7), "fc": Linear(7, 5)},
    ),
    "a linear bottleneck": (
        lambda m, x: m.fc(F.relu6(m.c(m.b(F.relu6(m.a(x))))).mean([2, 3])),
        {"a": conv(2, 6, 3), "b": conv(6, 3, 1), "c": conv(3, 6, 3, padding=1), "fc": Linear(6, 5)},
    ),
    "a head of a pool": (
        lambda m, x: torch.flatten(m.p(F.relu(m.c(F.relu(m.a(x))))), 1),
        {"a": conv(2, 6, 3), "c": conv(6, 5, 1), "p": POOL((1, 1))},
    ),
    "a head of a mean": (
        lambda m, x: m.c(F.relu(m.a(x))).mean((-1, -2)),
        {"a": conv(2, 6, 3), "c": conv(6, 5, 1)},
    ),
    "a head of a mean of 3x3": (
        lambda m, x: torch.flatten(m.p(m.c(F.relu(m.a(x)))), 1),
        {"a": conv(2, 6, 3), "c": conv(6, 5, 3), "p": POOL(1)},
    ),
    "a head of one pixel": (
        lambda m, x: m.c(F.relu(m.a(x))).squeeze(-1).squeeze(-1),
        {"a": conv(2, 6, 3), "c": conv(6, 5, 6)},
    ),
    "a head with an activation": (lambda m, x: F.relu(m.fc(F.relu(m.a(x)).flatten(1))), A | {"fc": Linear(108, 5)}),
    "an activation of an average": (
        lambda m, x: m.fc(F.relu(F.avg_pool2d(m.a(x), 2)).flatten(1)),
        A | {"fc": Linear(27, 5)},
    ),
    "two activations": (
        lambda m, x: m.fc(F.relu(F.max_pool2d(F.relu(m.a(x)), 2)).flatten(1)),
        A | {"fc": Linear(27, 5)},
    ),
    "a ReLU6 of a ReLU": (
        lambda m, x: m.fc(F.relu6(20 * F.relu(m.a(x))).flatten(1)),
        A | {"fc": Linear(108, 5)},
    ),
    "numbers": (lambda m, x: m.fc(2 * F.relu(0.5 * m.a(x) + 0.1).flatten(1)), A | {"fc": Linear(108, 5)}),
    "differences": (lambda m, x: m.fc(F.relu(1 - m.a(x) / 3).flatten(1)), A | {"fc": Linear(108, 5)}),
    "view(-1, n)": (lambda m, x: m.fc(F.relu(m.a(x)).view(-1, 108)), A | {"fc": Linear(108, 5)}),
    "view(n, m)": (lambda m, x: m.fc(F.relu(m.a(x)).reshape(x.shape[0], 108)), A | {"fc": Linear(108, 5)}),
    "one pixel by an index": (
        lambda m, x: m.fc(F.adaptive_avg_pool2d(F.relu(m.a(x)), 1)[:, :, 0, 0]),
        A | {"fc": Linear(3, 5)},
    ),
    "global maximum": (lambda m, x: m.fc(F.adaptive_max_pool2d(F.relu(m.a(x)), 1).squeeze()), A | {"fc": Linear(3, 5)}),
    "global maximum by amax": (lambda m, x: m.fc(F.relu(m.a(x)).amax((2, 3))), A | {"fc": Linear(3, 5)}),
    "logits of a concatenation": (
        lambda m, x: torch.cat([m.fc(h := F.relu(m.a(x)).flatten(1)), m.fb(x.flatten(1)), m.fc(h)], 1),
        A | {"fc": Linear(108, 5), "fb": Linear(128, 2)},
    ),
    "some of the logits": (lambda m, x: m.fc(F.relu(m.a(x)).flatten(1))[:, 1:4], A | {"fc": Linear(108, 5)}),
    "many batch norms of one result": (
        lambda m, x: m.fc(cast(Tensor, sum(F.relu(n(h)) for h in [m.a(x)] for n in (m.n, m.n1, m.n2))).flatten(1)),
        A | {"n": BatchNorm2d(3), "n1": BatchNorm2d(3), "n2": BatchNorm2d(3), "fc": Linear(108, 5)},
    ),
    "a chain of pre-activations": (
        chain,
        A | {f"c{k}": conv(3, 3, 1) for k in range(4)} | {f"n{k}": BatchNorm2d(3) for k in range(5)}
        | {"fc": Linear(108, 5)},
    ),
    "zeros around": (
        lambda m, x: m.fc(F.relu(m.b(m.pad(F.relu(m.a(F.pad(x, (1, 1, 1, 1))))))).flatten(1)),
        A | {"b": conv(3, 3, 5, padding=1), "pad": nn.ConstantPad2d(1, 0.0), "fc": Linear(192, 5)},
    ),
    "a difference of two": (lambda m, x: m.fc(F.relu(m.a(x) - m.b(x)).flatten(1)),
                            {"a": AB["a"], "b": conv(2, 3, 1), "fc": Linear(192, 5)}),
    "means one after the other": (lambda m, x: m.fc(F.relu(m.a(x)).mean(2, keepdim=True).mean(3, True).flatten(1)),
                                  A | {"fc": Linear(3, 5)}),
    "maxima one after the other": (lambda m, x: m.fc(F.relu(m.a(x)).max(3).values.max(dim=2)[0]),
                                   A | {"fc": Linear(3, 5)}),
    "a matrix": (lambda m, x: F.relu(m.a(x)).mean((2, 3)) @ m.fc.weight.t() + m.fc.bias, A | {"fc": Linear(3, 5)}),
    "a leaky activation in place": (
        lambda m, x: m.fc(F.max_pool2d(m.act(m.a(x)), 2).flatten(1)),
        A | {"act": nn.LeakyReLU(0.2, inplace=True), "fc": Linear(27, 5)},
    ),
    "adaptive, equal windows": (lambda m, x: m.fc(m.p(F.relu(m.a(x))).flatten(1)),
                                A | {"p": POOL(2), "fc": Linear(12, 5)}),
    "adaptive, windows that overlap": (lambda m, x: m.fc(m.p(F.relu(m.a(x))).flatten(1)),
                                       A | {"p": POOL((4, 4)), "fc": Linear(48, 5)}),
    "adaptive, larger than the map": (lambda m, x: m.fc(m.d(m.p(F.relu(m.a(x))).flatten(1))),
                                      A | {"p": POOL(7), "d": nn.Dropout(), "fc": Linear(147, 5)}),
    "adaptive, of a concatenation": (lambda m, x: m.fc(m.p(two(m, x)).flatten(1)),
                                     AB | {"p": POOL(3), "fc": Linear(63, 5)}),
    "a sum of values": (lambda m, x: m.fc(F.relu(F.relu(m.a(x)) + F.relu(m.c(x))).flatten(1)),
                        {"a": AB["a"], "c": conv(2, 3, 1), "fc": Linear(192, 5)}),
    "a sum of the image with itself": (lambda m, x: m.fc(F.relu(m.a(x + x) + m.c(x)).flatten(1)),
                                       {"a": AB["a"], "c": conv(2, 3, 1), "fc": Linear(192, 5)}),
    "strides of their own": (lambda m, x: m.fc(F.relu(m.a(x)).flatten(1)),
                             {"a": conv(2, 3, (3, 2), stride=(2, 1), padding=(0, 1)), "fc": Linear(81, 5)}),
    "dilation": (lambda m, x: m.fc(F.relu(m.a(x)).flatten(1)),
                 {"a": conv(2, 3, 3, dilation=(1, 2), padding=(0, 2)), "fc": Linear(144, 5)}),
    "same, an even kernel": (lambda m, x: m.fc(F.relu(m.a(x)).flatten(1)),
                             {"a": conv(2, 3, (2, 4), padding="same"), "fc": Linear(192, 5)}),
    "same, dilation": (lambda m, x: m.fc(F.relu(m.a(x)).flatten(1)),
                       {"a": conv(2, 3, 3, padding="same", dilation=2), "fc": Linear(192, 5)}),
    "a max-pool with padding": (lambda m, x: m.fc(F.max_pool2d(F.relu(m.a(x)), 3, 2, 1).flatten(1)),
                                A | {"fc": Linear(27, 5)}),
    "a max-pool with ceil_mode": (lambda m, x: m.fc(F.max_pool2d(F.relu(m.a(x)), 3, 2, ceil_mode=True).flatten(1)),
                                  {"a": AB["a"], "fc": Linear(48, 5)}),
    "ceil_mode, a window that starts behind the map": (
        lambda m, x: m.fc(F.max_pool2d(F.relu(m.a(x)), 2, 3, ceil_mode=True).flatten(1)), A | {"fc": Linear(12, 5)}),
    "ceil_mode and padding": (
        lambda m, x: m.fc(F.max_pool2d(F.relu(m.a(x)), (3, 2), (2, 3), (1, 1), ceil_mode=True).flatten(1)),
        {"a": AB["a"], "fc": Linear(45, 5)}),
    "an average pool with padding": (lambda m, x: m.fc(F.avg_pool2d(F.relu(m.a(x)), 3, 2, 1).flatten(1)),
                                     A | {"fc": Linear(27, 5)}),
    "an average pool with a divisor, ceil_mode": (
        lambda m, x: m.fc(F.avg_pool2d(F.relu(m.a(x)), 3, 2, ceil_mode=True, divisor_override=9).flatten(1)),
        {"a": AB["a"], "fc": Linear(48, 5)}),
    "pools that are not square": (
        lambda m, x: m.fc(F.avg_pool2d(F.max_pool2d(F.relu(m.a(x)), (1, 2)), (3, 1)).flatten(1)),
        A | {"fc": Linear(18, 5)}),
    "adaptive, not square": (lambda m, x: m.fc(m.p(F.relu(m.a(x))).flatten(1)),
                             A | {"p": POOL((2, 3)), "fc": Linear(18, 5)}),
    "a pad": (lambda m, x: m.fc(F.relu(m.a(m.z(x))).flatten(1)),
              A | {"z": nn.ZeroPad2d((1, 2, 0, 1)), "fc": Linear(189, 5)}),
    "a pad of a pool": (lambda m, x: m.fc(F.max_pool2d(F.pad(F.relu(m.a(x)), (0, 1, 0, 1)), 3, 2).flatten(1)),
                        A | {"fc": Linear(27, 5)}),
    "a pad before padding": (lambda m, x: m.fc(F.relu(m.c(F.pad(two(m, x), (0, 1)))).flatten(1)),
                             AB | {"c": conv(7, 2, 3, padding=1), "fc": Linear(144, 5)}),
}  # fmt: skip
