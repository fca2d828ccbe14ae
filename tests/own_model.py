"""A user's own residual network, not one of ``quant.models``, for the tests of the methods."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spikeloom.gen.design import Design
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import StageNodes, layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.quant import golden
from spikeloom.quant.data import Dataset, digits
from spikeloom.quant.ir.network import Network
from spikeloom.sim.predict import golden_words


class Own(nn.Module):
    """Batch norm, a residual sum with an identity and one with a projection, a pool, two linear layers."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(shape[0], 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.left, self.left_norm = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.down, self.side = nn.Conv2d(6, 8, 3, 2, 1), nn.Conv2d(6, 8, 1, 2)
        self.wide = nn.Linear(8 * (-(-shape[1] // 2) // 2) * (-(-shape[2] // 2) // 2), 16)
        self.answer = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(self.left_norm(self.left(x)) + x)
        x = F.relu(self.down(x) + self.side(x))
        x = F.avg_pool2d(x, 2).flatten(1)
        return self.answer(F.relu(self.wide(x)))


def look_trained(model: Any) -> Any:
    """Random statistics of batch norm."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.3, 1.5)
            module.weight.data.uniform_(0.7, 1.5)
            module.bias.data.uniform_(-0.2, 0.5)
    return model.eval()


def learn(
    model: nn.Module, x: Tensor, y: Tensor, epochs: int, rate: float = 5e-3, dtype: torch.dtype = torch.float64
) -> None:
    """A few epochs of Adam, batches of 100, in double: what other kernels and threads add up in another order comes to
    the same figures, so tests may ask for those that were met."""
    model.to(dtype).train()
    x = x.to(dtype)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        for pick in torch.randperm(len(x)).split(100):
            optimiser.zero_grad()
            F.cross_entropy(model(x[pick]), y[pick]).backward()
            optimiser.step()
    model.float().eval()


def right(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of right answers."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


@functools.cache
def small_digits() -> tuple[Any, Dataset, float]:
    """The network trained with ReLUs on the digits, the digits, and its accuracy on the test split."""
    data = digits()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Own(data.shape, data.classes)
        learn(model, torch.from_numpy(data.train_x).float() / 15, torch.from_numpy(data.train_y), 12)
    return model, data, right(model, torch.from_numpy(data.test_x).float() / 15, torch.from_numpy(data.test_y))


def _first_fold(layer: StageNodes) -> Fold:
    """The first of the folds that can be built."""
    for fold in fold_choices(layer):
        try:
            build_stage(layer, fold)
        except PlanError:
            continue
        return fold
    raise AssertionError(f"{layer.name}: no fold can be built")


def into_hardware(network: Network, pixels: np.ndarray) -> None:
    """The cores of the smallest design of ``network`` compute what the golden model does."""
    design = Design(network, {layer.name: _first_fold(layer) for layer in layers(network)})
    words = golden_words(design, golden.run(network, pixels).outputs)
    for name, found in design.compute(pixels).items():
        assert np.array_equal(found, words[name]), f"{name}: the cores differ from the golden model"
