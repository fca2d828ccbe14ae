"""A training's phases of epochs and its other steps, each of which is kept in the checkpoint when it is done.

A method's phases are a plain function that calls :class:`Fit` for its epochs (``fit(model, ...)``), for other long work
that changes a model (``fit.step``) and for accuracies (``fit.measure``). A training that was killed runs the same
function again: what is done already is then recalled instead of computed, random numbers included, and the phase in
which it died goes on after its last whole epoch. Everything in between must follow from the model, the data and
PyTorch's random numbers alone.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import golden
from ..data import Dataset
from ..recipe import Recipe
from .augment import erased, mirrored, moved
from .checkpoint import Checkpoint, identity
from .compiled import compiled
from .convolution import right_gradients
from .losses import loss_of
from .record import Record
from .report import Report
from .workers import Workers

__all__ = ["Fit", "Progress"]

Progress = Callable[[str, float, int, dict[str, float]], None]
"""Called as progress(phase, epochs done, epochs, {"loss": ..., "train": accuracy}) after every epoch, and at most twice
a second in between, then with a fraction of an epoch and the figures so far. After an epoch there is "held out" as well
where images are held out: the accuracy on these. Layer-wise work is shown as one epoch; of the figures it has those
that it knows."""


class Fit:
    """Trains, measures and remembers; holds the data as tensors on the device.

    Parameters: ``recipe``; ``data``; ``report``, where accuracies and seconds go; ``checkpoint``, read here: raises
    CheckpointError where it is that of another training; ``progress``; ``workers``, of which the first writes;
    ``watch``, whether the images tested on may be looked at after every epoch.
    Attributes: ``train_x``, ``test_x``, pixels as floats 0..``high`` (N, C, H, W); ``train_y``, ``test_y`` (N,);
    ``resumed``, what the checkpoint held, in words, or "".

    A model takes pixels as reals 0..1, or, where it has an attribute ``takes_integers`` that is true, as integers.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        report: Report,
        *,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
        workers: Workers | None = None,
        watch: bool = False,
    ) -> None:
        self.recipe, self.report, self.progress, self.high = recipe, report, progress, data.high
        self.workers, self.watch = workers or Workers(), watch
        self.device = device = self.workers.device
        self.teacher: nn.Module | None = None
        self.train_x = torch.from_numpy(data.train_x.astype(np.float32)).to(device)
        self.train_y = torch.from_numpy(data.train_y).to(device)
        self.test_x = torch.from_numpy(data.test_x.astype(np.float32)).to(device)
        self.test_y = torch.from_numpy(data.test_y).to(device)
        self._record = Record(
            identity(recipe, data), checkpoint or Checkpoint(None), report, writes=self.workers.rank == 0
        )
        self.resumed = self._record.resumed
        self.workers.meet()  # before anybody writes

    def __call__(
        self,
        model: nn.Module,
        name: str,
        epochs: int,
        optimiser: torch.optim.Optimizer,
        rate: Callable[[float], float],
    ) -> None:
        """Train ``model`` in place for ``epochs``, its learning rate times ``rate(share of the batches done)``.

        ``name`` is the phase's, for the report and the checkpoint. ``optimiser`` is new, and of the parameters of
        ``model``, which is on the device.
        """
        model.train()
        if self.recipe.bf16:
            model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if self._record.recalled(name, model):
            return
        average = copy.deepcopy(model).requires_grad_(False) if self.recipe.average else None
        rates = [group["lr"] for group in optimiser.param_groups]
        first, before = self._record.continued(name, model, optimiser, average, epochs)
        start, batches = time.perf_counter(), len(self.train_x) // self.recipe.batch
        shared = self.workers.wrapped(self._fast(model))
        figures, last = dict[str, float](), start
        for epoch in range(first, epochs):

            def set_rate(batch: int, done: int = epoch * batches) -> None:
                share = rate(min(1.0, (done + batch) / (epochs * batches)))
                for group, full in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = full * share

            with right_gradients(model):
                for batch, figures in self._epoch(shared, optimiser, set_rate):
                    if average:
                        _follow(average, model, self.recipe.average)
                    if self.progress and batch < batches and time.perf_counter() - last > 0.5:
                        self.progress(name, epoch + batch / batches, epochs, figures)
                        last = time.perf_counter()
            self.workers.average_buffers(model)
            if self.watch:
                figures["held out"] = self.accuracy(average or model)
                model.train()
            if self.progress:
                self.progress(name, epoch + 1, epochs, figures)
            if epoch + 1 < epochs:
                seconds = before + time.perf_counter() - start
                self._record.reached(name, epoch + 1, model, optimiser, average, seconds)
        if average:
            self.workers.average_buffers(average)
            model.load_state_dict(average.state_dict())
        self._record.finished(name, model, before + time.perf_counter() - start)

    def teach(self, model: nn.Module | None) -> None:
        """From now on, learn from ``model`` as it is now as well, as the recipe's ``distill`` says; None: from labels
        alone."""
        self.teacher = None
        if model is not None:
            self.teacher = self._fast(copy.deepcopy(model).to(self.device).eval().requires_grad_(False))

    def step(self, name: str, model: nn.Module, function: Callable[[], object]) -> None:
        """Call ``function``, which changes the state of ``model`` in place and takes long: calibration, tuning.

        A training that is continued loads the state instead. What is quick needs no step. ``name`` appears in the
        report's seconds.
        """
        if not self._record.recalled(name, model):
            start = time.perf_counter()
            function()
            self._record.finished(name, model, time.perf_counter() - start)

    def show(self, name: str, share: float, figures: dict[str, float]) -> None:
        """Show how much of something ``name`` that is no epochs is done; ``figures`` as in :data:`Progress`."""
        if self.progress:
            self.progress(name, share, 1, figures)

    def measure(self, name: str, model: nn.Module) -> float:
        """Accuracy of ``model`` on the test split, put into the report as ``name``."""
        model.eval()
        known = self._record.accuracy
        if name not in known:
            known[name] = self.accuracy(model)
        self.report.accuracy[name] = known[name]
        return known[name]

    def accuracy(self, model: nn.Module) -> float:
        """Accuracy of ``model``, which is left in evaluation mode, on the test split."""
        model.eval()
        images, labels = self.workers.share(self.test_x), self.workers.share(self.test_y)
        with golden.exact_math() if _takes_integers(model) else torch.no_grad():
            found = torch.cat([self.forward(model, x).argmax(1) for x in images.split(500)])
        (right,) = self.workers.sums([int((found == labels).sum())])
        return right / len(self.test_y)

    def real(self, x: Tensor) -> Tensor:
        """Pixels as the float model sees them, 0..1."""
        return x / self.high

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """Logits of ``model`` for pixels 0..``high``."""
        return model(x if _takes_integers(model) else self.real(x))

    def _epoch(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, set_rate: Callable[[int], None]
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """One pass over the training images, in an order of its own; the remainder of the last batch is left out.

        After each batch its number, from 1, and the figures so far.
        """
        batch, recipe, workers = self.recipe.batch, self.recipe, self.workers
        batches, total = len(self.train_x) // batch, [0.0, 0.0, 0.0]
        order = torch.randperm(len(self.train_x))
        for k in range(batches):
            x, y = self._batch(order[k * batch : (k + 1) * batch])
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=recipe.bf16):
                logits = self.forward(model, x)
            loss = loss_of(logits.float(), y, smoothing=recipe.label_smoothing, **self._taught(x))
            optimiser.zero_grad()
            loss.backward()
            set_rate(k)
            optimiser.step()
            right = int((logits.argmax(1) == y).sum())
            for place, value in enumerate((loss.item() * len(y), right, len(y))):
                total[place] += value
            if k + 1 == batches:
                total = workers.sums(total)
            yield k + 1, {"loss": total[0] / total[2], "train": total[1] / total[2]}

    def _fast(self, model: nn.Module) -> nn.Module:
        """``model`` itself, compiled where the recipe says so and a trial on one batch finds no difference; both have
        the same parameters."""
        if not (self.recipe.compiled and getattr(model, "compiles", True)):
            return model
        x, y = (self.workers.share(images[: self.recipe.batch]) for images in (self.train_x, self.train_y))

        def run(shown: nn.Module) -> Tensor:
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.bf16):
                logits = self.forward(shown, x).float()
            return loss_of(logits, y, smoothing=self.recipe.label_smoothing) if shown.training else logits

        with right_gradients(model):
            return compiled(model, run)

    def _batch(self, pick: Tensor) -> tuple[Tensor, Tensor]:
        """This process's share of the images ``pick``, changed at random, and their classes."""
        n, shift, share = len(pick), self.recipe.shift, self.workers.share
        # Drawn for the whole batch, so that all processes' random numbers stay the same.
        by = share(torch.randint(2 * shift + 1, (2, n)).T).T if shift else None
        turned = share(torch.rand(n) < 0.5) if self.recipe.flip else None
        sides = self.train_x.shape[2:]
        at = share(torch.stack([torch.randint(k, (n,)) for k in sides], 1)).T if self.recipe.erase else None
        pick = share(pick).to(self.device)
        x = moved(self.train_x[pick], shift, by)
        x = x if turned is None else mirrored(x, turned)
        return erased(x, self.recipe.erase, at), self.train_y[pick]

    def _taught(self, x: Tensor) -> dict[str, Any]:
        """What the teacher, if any, says of pixels ``x``, for the loss."""
        if self.teacher is None or self.recipe.distill is None:
            return {}
        autocast = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.bf16)
        with torch.no_grad(), autocast, right_gradients(self.teacher):
            taught = self.forward(self.teacher, x).float()
        return {"taught": taught, "weight": self.recipe.distill.weight, "temperature": self.recipe.distill.temperature}


def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move every number of ``average`` towards that of ``model``; counters are taken over."""
    for mean, now in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)


def _takes_integers(model: nn.Module) -> bool:
    inner = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    return bool(getattr(inner, "takes_integers", False))
