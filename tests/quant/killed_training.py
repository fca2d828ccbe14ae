"""Trains the digits in processes that are killed at any moment, and started again, until one comes to its end.

Usage: killed_training.py FOLDER, where the network and its checkpoint go. Prints JSON: how often a process was killed,
and how often while it was writing a checkpoint; what was continued from; the hash of the network that came out of it,
and of one that nobody killed; whether all weights are equal.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from spikeloom.quant.data import digits
from spikeloom.quant.recipe import Epochs, QcfsRecipe
from spikeloom.quant.training.train import train

RECIPE = QcfsRecipe(
    data="digits",
    model="mlp",
    model_args={"hidden": [24]},
    steps=4,
    weight_bits=4,
    batch=100,
    shift=1,
    epochs=Epochs(float=5, qcfs=5, integers=5),
)


def trained(folder: Path, name: str) -> None:
    """Train to the end and leave ``name``.pt."""
    with (folder / f"{name}.log").open("a", buffering=1) as log:
        found = train(RECIPE, checkpoint=folder / f"{name}.checkpoint", notice=lambda text: log.write(f"{text}\n"))
    result = {"hash": found.network.hash, "model": found.model.state_dict(), "accuracy": found.report.accuracy}
    torch.save(result, folder / f"{name}.pt")


def started(folder: Path, name: str, writes: int = 0) -> int:
    """A process that trains; its id. It is killed where the ``writes``-th checkpoint has been written beside the one
    before and is about to replace it (0: it is not)."""
    child = os.fork()
    if not child:
        rename, left = Path.replace, iter(range(writes, 0, -1))

        def killed(path: Path, target: Path) -> Path:
            if next(left, 0) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(path, target)

        setattr(Path, "replace", killed)  # noqa: B010  # of this process alone
        trained(folder, name)
        os._exit(0)
    return child


def written(checkpoint: Path) -> int:
    """A number that changes when ``checkpoint`` is replaced."""
    try:
        return checkpoint.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def main(folder: Path) -> None:
    """See the head of this file."""
    # What is imported late is imported here, once; no training, whose threads a fork would lose.
    digits()
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).zero_grad()
    draw, checkpoint, part = random.Random(0), folder / "killed.checkpoint", folder / "killed.checkpoint.part"
    os.waitpid(started(folder, "whole"), 0)
    killed, writing = 0, 0
    while not (folder / "killed.pt").exists():
        part.unlink(missing_ok=True)
        epochs, delay, aims = draw.randint(1, 4), draw.uniform(0.0, 0.03), killed % 2
        child, seen, before = started(folder, "killed", epochs * aims), 0, written(checkpoint)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if (now := written(checkpoint)) != before:
                seen, before = seen + 1, now
            if seen >= epochs and not aims:  # at any moment
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                ended = os.waitpid(child, 0)
                break
        if os.WIFSIGNALED(ended[1]):
            killed, writing = killed + 1, writing + part.exists()
    a, b = (torch.load(folder / f"{name}.pt", weights_only=True) for name in ("whole", "killed"))
    equal = list(a["model"]) == list(b["model"]) and all(torch.equal(v, b["model"][k]) for k, v in a["model"].items())
    log = (folder / "killed.log").read_text().splitlines()
    same = equal and a["accuracy"] == b["accuracy"]
    found = {"killed": killed, "writing": writing, "continued": log, "hashes": [a["hash"], b["hash"]], "equal": same}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
