"""Small models that do something beyond their graph, for tests that conversion takes the network that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from spikeloom.quant.methods.qcfs.algorithm import QCFS

SHAPE = (2, 4, 4)
EQUAL = "equal"
Forward = Callable[[Any, Tensor], Any]


class Net(nn.Module):
    """A small network; ``write`` is its forward."""

    def __init__(self, write: Forward | None = None) -> None:
        super().__init__()
        self.conv, self.conv2, self.relu = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1), nn.ReLU()
        self.norm, self.pool, self.drop = nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Dropout(0.5)
        self.fc, self.fc8, self.fc2 = nn.Linear(32, 3), nn.Linear(8, 3), nn.Linear(2, 3)
        self.write = write or (lambda m, x: m.fc(m.relu(m.norm(m.conv(x))).flatten(1)))
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        return self.write(self, x)


def net(write: Forward | None = None, seed: int = 0) -> Any:
    """A :class:`Net` with weights and statistics of ``seed``, in training mode, as a model is after its training."""
    torch.manual_seed(seed)
    model = Net(write)
    assert model.norm.running_mean is not None and model.norm.running_var is not None
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    return model


def changed(change: Callable[[Any], object], write: Forward | None = None) -> Any:
    """A :func:`net` that something was done to."""
    model = net(write)
    change(model)
    return model


def loaded(change: Callable[[Any], object]) -> Any:
    """A changed :func:`net` that has a state loaded since: its weights are brought up to date in its next forward."""
    model, other = changed(change), net(seed=1)
    change(other)
    model.load_state_dict(other.state_dict())
    return model


def negated(_module: nn.Module, _inputs: Any, result: Tensor) -> Tensor:
    return -result


def doubled(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (2 * inputs[0],)


def hooked(module: nn.Module) -> Any:
    module.register_forward_hook(negated)
    return module


def tied(model: Any) -> None:
    model.conv2 = nn.Conv2d(2, 2, 3, padding=1)
    model.conv2.weight = model.conv.weight


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w + w.flip(-1)


class Scaled(nn.Conv2d):
    """A convolution with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Padded(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, weight.abs(), bias)


class Halved(QCFS):
    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z) / 2


class Coarse(QCFS):
    def quantise(self, u: Tensor) -> Tensor:
        return (u > 0).to(u.dtype) * self.levels


def swapped(conv: nn.Conv2d, *, parametrised: bool = False) -> Any:
    """A network with ``conv`` for its first convolution; ``parametrised``, it looks like one of torch.nn."""

    def change(model: Any) -> None:
        model.conv = conv
        if parametrised:
            parametrize.register_parametrization(conv, "weight", nn.Identity())

    return changed(change)


def activated(activation: QCFS) -> Any:
    """A network with ``activation`` for its ReLU."""
    return changed(lambda m: setattr(m, "relu", activation))


def alias(m: Any, x: Tensor) -> Tensor:
    h = m.relu(m.conv(x))
    t = h
    t += m.conv2(h)
    return m.fc(m.relu(m.conv2(m.relu(t)) + h).flatten(1))


def late_alias(m: Any, x: Tensor) -> Tensor:
    h = m.relu(m.conv(x))
    y = m.drop(h)  # h itself in evaluation
    h += x
    return m.fc(m.relu(m.conv2(m.relu(h)) + y).flatten(1))


def written_over(m: Any, x: Tensor) -> Tensor:
    c = m.conv(x)
    F.relu(c, inplace=True)
    return m.fc(c.flatten(1))


def written_image(m: Any, x: Tensor) -> Tensor:
    y = m.conv(x)
    x += x
    return m.fc(m.relu(y + x).flatten(1))


def in_turn(m: Any, x: Tensor) -> Tensor:
    m.calls += 1
    return m.fc(m.relu((m.conv if m.calls % 2 else m.conv2)(x)).flatten(1))


def counted(m: Any, x: Tensor) -> Tensor:
    m.norm.num_batches_tracked += 1
    return m.fc(m.relu(m.conv(x)).flatten(1))


def switched(m: Any, x: Tensor) -> Tensor:
    return m.fc(F.dropout(m.relu(m.conv(x)), 0.5, m.training).flatten(1))


def head(function: Callable[[Any, Tensor], Tensor], last: str = "fc8") -> Any:
    """A network whose pool and flattening ``function`` is."""
    return net(lambda m, x: getattr(m, last)(function(m, m.relu(m.conv(x)))))


def ended(function: Callable[[Tensor], Tensor]) -> Any:
    return net(lambda m, x: function(m.fc(m.relu(m.conv(x)).flatten(1))))
