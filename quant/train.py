"""Training by a recipe. QCFS: three phases, float with ReLU, QCFS, QCFS with integers in the loop; IntegerNet: one.

The number of epochs is fixed by the recipe and the last state is taken: nothing is ever chosen by the test split, which
is only measured after each phase, for the report. The same recipe gives the same network on the same machine.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import golden
from .augment import mirrored, moved
from .data import Dataset, load
from .integers import integer_network
from .methods import integernet
from .methods.qcfs import calibrate, prepare
from .models import build, load_weights
from .network import Network
from .nodes import Rule
from .qat import IntegerGraph
from .recipe import IntegerNetRecipe, QcfsRecipe, Recipe, RecipeError
from .weight_rounding import round_weights

__all__ = ["Progress", "Report", "Trained", "train"]

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called as progress(phase, epochs done, epochs, {"loss": ..., "train": accuracy of the epoch})."""


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


@dataclass(frozen=True)
class Trained:
    """What a recipe gave: ``model`` (PyTorch), ``network``, ``networks`` (by rule for QCFS) and ``report``."""

    recipe: Recipe
    model: nn.Module
    network: Network
    networks: dict[str, Network]
    report: Report


def train(
    recipe: Recipe,
    *,
    data: Dataset | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Trained:
    """Follow ``recipe``; ``data`` replaces the data set it names. Random numbers of the caller are left alone.

    ``threads`` are PyTorch's: one is fastest for networks as small as the digits', and on a busy machine by far; the
    order of float sums, and so the trained network, depends on it.
    """
    data = data or load(recipe.data)
    data = data if recipe.input_bits is None else data.with_bits(recipe.input_bits)
    if len(data.train_x) < recipe.batch:
        raise RecipeError(
            f"Recipe: batch must be at most {len(data.train_x)}, the training images of {data.name}, not {recipe.batch}"
        )
    report, fit = Report(), _Fit(recipe, data, progress, device)
    with _seeded(recipe.seed, threads):
        model = build(recipe.model, data.shape, data.classes, **recipe.model_args)
        match recipe:
            case QcfsRecipe():
                trained, networks = _qcfs(recipe, model, data, fit, report)
                chosen = recipe.rule
            case IntegerNetRecipe():
                trained, networks = _integernet(recipe, model, data, fit, report)
                chosen = "integers"
            case _:
                raise RecipeError(f"Recipe: {type(recipe).__name__} has no training")
    for name, network in networks.items():
        report.accuracy[name] = golden.accuracy(network, data.test_x, data.test_y)
    meta = {"recipe": json.dumps(asdict(recipe)), "data": data.name, **report.meta()}
    networks = {name: replace(network, meta=meta | network.meta) for name, network in networks.items()}
    return Trained(recipe, trained, networks[chosen], networks, report)


def _qcfs(
    recipe: QcfsRecipe, model: nn.Module, data: Dataset, fit: _Fit, report: Report
) -> tuple[nn.Module, dict[str, Network]]:
    def phase(model: nn.Module, name: str) -> None:
        groups, lr = _groups(model.to(fit.device), recipe.weight_decay), getattr(recipe.rates, name)
        if recipe.optimiser == "sgd":
            optimiser: torch.optim.Optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True)
        else:
            optimiser = torch.optim.AdamW(groups, lr=lr)
        rate = functools.partial(one_cycle, warm_up=recipe.warm_up)
        report.seconds[name] = fit(model, name, getattr(recipe.epochs, name), optimiser, rate)

    if recipe.start:
        try:
            load_weights(model, recipe.start.file, mean=recipe.start.mean, std=recipe.start.std)
        except ValueError as error:
            raise RecipeError(f"Recipe: start: {error}") from None
    phase(model, "float")
    report.accuracy["float"] = fit.test(model)
    model = prepare(model, recipe.levels, average_pools=False)
    calibrate(model, fit.real(fit.train_x[:1024]), quantile=recipe.quantile)
    bits = {"weight_bits": recipe.weight_bits, "first_bits": recipe.first_bits, "last_bits": recipe.last_bits}
    if recipe.rounded:
        round_weights(model, **bits)
    phase(model, "qcfs")
    report.accuracy["qcfs"] = fit.test(model)
    graph = IntegerGraph(
        model.cpu().eval(),
        input_high=data.high,
        steps=recipe.steps,
        shortcut_bits=recipe.shortcut_bits,
        rule=cast(Rule, recipe.rule),
        shape=data.shape,
        **bits,
    )
    report.accuracy["converted"] = fit.test(graph.to(fit.device))
    phase(graph, "integers")
    report.accuracy["fake-quantised"] = fit.test(graph)
    graph = copy.deepcopy(graph).cpu().eval()
    rules: tuple[Rule, ...] = ("lossless", "causal")
    return graph, {r: integer_network(graph, shape=data.shape, rule=r, meta={"rule": r}) for r in rules}


def one_cycle(done: float, warm_up: float) -> float:
    """The learning rate's share after the share ``done`` of a phase: a line up to 1, then half a cosine to 0."""
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _integernet(
    recipe: IntegerNetRecipe, model: nn.Module, data: Dataset, fit: _Fit, report: Report
) -> tuple[nn.Module, dict[str, Network]]:
    net = integernet.prepare(model, recipe.bits, data.shape)
    optimiser = torch.optim.Adam(net.to(fit.device).parameters(), lr=recipe.rate)
    falling = recipe.last_rate / recipe.rate
    report.seconds["integers"] = fit(net, "integers", recipe.epochs, optimiser, lambda done: falling**done)
    report.accuracy["fake-quantised"] = fit.test(net)
    net = copy.deepcopy(net).cpu().eval()
    return net, {"integers": integernet.convert(net, shape=data.shape, input_high=data.high)}


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


INTEGERS = IntegerGraph | integernet.IntegerNet
"""Models that take pixels as integers."""


class _Fit:
    """A phase of training; holds the data as tensors on the device."""

    def __init__(self, recipe: Recipe, data: Dataset, progress: Progress | None, device: str) -> None:
        self.recipe, self.progress, self.device, self.high = recipe, progress, device, data.high
        self.train_x = torch.from_numpy(data.train_x.astype(np.float32)).to(device)
        self.train_y = torch.from_numpy(data.train_y).to(device)
        self.test_x = torch.from_numpy(data.test_x.astype(np.float32)).to(device)
        self.test_y = torch.from_numpy(data.test_y).to(device)

    def real(self, x: Tensor) -> Tensor:
        """Pixels as the float model sees them, 0..1."""
        return x / self.high

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        return model(x if isinstance(model, INTEGERS) else self.real(x))

    def __call__(
        self,
        model: nn.Module,
        phase: str,
        epochs: int,
        optimiser: torch.optim.Optimizer,
        rate: Callable[[float], float],
    ) -> float:
        """Train for ``epochs``, the learning rate times ``rate(share of the batches done)``; return the seconds."""
        start, batch = time.perf_counter(), self.recipe.batch
        model.train()
        if self.recipe.bf16:
            model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        batches = len(self.train_x) // batch
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate(min(1.0, step / max(1, epochs * batches)))
        )
        for epoch in range(epochs):
            figures = {"loss": 0.0, "train": 0.0}
            order = torch.randperm(len(self.train_x)).to(self.device)
            for k in range(batches):
                pick = order[k * batch : (k + 1) * batch]
                x = moved(self.train_x[pick], self.recipe.shift)
                x = mirrored(x) if self.recipe.flip else x
                with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.bf16):
                    logits = self.forward(model, x)
                loss = F.cross_entropy(logits.float(), self.train_y[pick])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                figures["loss"] += loss.item() / batches
                figures["train"] += (logits.argmax(1) == self.train_y[pick]).float().mean().item() / batches
            if self.progress:
                self.progress(phase, epoch + 1, epochs, figures)
        return time.perf_counter() - start

    def test(self, model: nn.Module) -> float:
        """Accuracy on the test split."""
        model.eval()
        with golden.exact_math() if isinstance(model, INTEGERS) else torch.no_grad():
            found = torch.cat([self.forward(model, x).argmax(1) for x in self.test_x.split(500)])
        return float((found == self.test_y).double().mean())


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases, batch norm and thresholds (whose logarithm is learned) do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
