"""What a training has done so far, kept in its checkpoint: steps that are done, the phase it is in, accuracies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .checkpoint import Checkpoint, copied, random_state, restore_random_state
from .checkpoint_parts import fits_optimiser
from .report import Report

__all__ = ["Record"]


class Record:
    """Recalls what is done already, random numbers included, and remembers what is done now.

    Parameters: ``training``, its ``checkpoint.identity``; ``checkpoint``, read here: raises CheckpointError where it is
    that of another training; ``report``, where the seconds of a step go; ``writes``, whether this process writes.
    Attributes: ``accuracy``, by name, written with the next step; ``resumed``, what the checkpoint held, in words, or
    "".
    """

    def __init__(
        self, training: Mapping[str, str], checkpoint: Checkpoint, report: Report, *, writes: bool = True
    ) -> None:
        self.checkpoint, self.report = checkpoint, report
        self.accuracy: dict[str, float] = {}
        self.resumed = ""
        self._training, self._writes = training, writes
        self._done: dict[str, Any] = {}
        self._now: dict[str, Any] | None = None
        self._names: set[str] = set()
        if checkpoint.read(training):
            state = checkpoint.state
            self._done, self._now, self.accuracy = dict(state["done"]), state["now"], dict(state["accuracy"])
            steps = [f"{name} done" for name in self._done]
            steps += [f"{self._now['name']} after epoch {self._now['epoch']}"] if self._now else []
            self.resumed = ", ".join(steps)

    def recalled(self, name: str, model: nn.Module) -> bool:
        """Whether the step ``name`` is done already; then ``model`` and the random numbers are as after it."""
        if name in self._names:
            raise ValueError(f"A training has one step {name!r}; a second needs another name")
        self._names.add(name)
        if name not in self._done:
            return False
        done = self._done[name]
        self._load(model, done)
        self.report.seconds[name] = done["seconds"]
        return True

    def continued(
        self, name: str, model: nn.Module, optimiser: torch.optim.Optimizer, average: nn.Module | None, epochs: int
    ) -> tuple[int, float]:
        """Epochs and seconds of the phase ``name`` of ``epochs`` that the checkpoint has, with everything as after
        them."""
        now = self._now
        if now is None or now["name"] != name:
            return 0, 0.0
        if now["epoch"] >= epochs:
            raise self.checkpoint.unfit(ValueError(f"epoch {now['epoch']} of {epochs}"))
        if average and "average" in now:
            self._load(average, now | {"model": now["average"]})
        self._load(model, now, optimiser)
        return now["epoch"], now["seconds"]

    def reached(
        self,
        name: str,
        epoch: int,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: nn.Module | None,
        seconds: float,
    ) -> None:
        """The phase ``name`` has done ``epoch`` of its epochs, in ``seconds``, and not all of them."""
        self._now = {"name": name, "epoch": epoch, "model": copied(model), "random": random_state()}
        self._now |= {"optimiser": optimiser.state_dict(), "seconds": seconds}
        self._now |= {"average": copied(average)} if average else {}
        self._write()

    def finished(self, name: str, model: nn.Module, seconds: float) -> None:
        """The step ``name`` is done and has left ``model`` as it is, in ``seconds``."""
        self._now = None
        self._done[name] = {"model": copied(model), "random": random_state(), "seconds": seconds}
        self.report.seconds[name] = seconds
        self._write()

    def _load(self, model: nn.Module, state: dict[str, Any], optimiser: torch.optim.Optimizer | None = None) -> None:
        try:
            model.load_state_dict(state["model"])
            if optimiser is not None:
                settings = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
                optimiser.load_state_dict(state["optimiser"])
                for group, given in zip(optimiser.param_groups, settings, strict=True):
                    group.update(given)  # they are the recipe's; the rate is set at every batch
                if not fits_optimiser(optimiser):
                    raise ValueError("the optimiser has other parameters")
            restore_random_state(state["random"])
        except Exception as error:  # of a damaged file anything may come
            raise self.checkpoint.unfit(error) from None

    def _write(self) -> None:
        if self._writes:
            self.checkpoint.write(
                self._training, {"done": self._done, "now": self._now, "accuracy": self.accuracy}
            )
