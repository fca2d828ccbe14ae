"""A killed training continues to the same weights; a checkpoint of another training is refused, with the remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spikeloom.quant.data import digits
from spikeloom.quant.recipe import Distill, Epochs, IntegerNetRecipe, QcfsRecipe, Recipe
from spikeloom.quant.training.checkpoint import Checkpoint, CheckpointError
from spikeloom.quant.training.train import train

HERE = Path(__file__).parent
QCFS = QcfsRecipe(
    data="digits",
    model="resnet",
    model_args={"depth": 8, "width": 4},
    steps=4,
    weight_bits=4,
    batch=200,
    shift=1,
    flip=True,
    bf16=True,
    rounded=True,
    optimiser="sgd",
    distill=Distill(weight=0.5),
    average=0.9,
    epochs=Epochs(float=2, qcfs=2, integers=2),
)
INTEGERNET = IntegerNetRecipe(data="digits", model="mlp", bits=4, epochs=4, batch=200, shift=1)


class Stopped(Exception):
    """Raised after an epoch, which is then not in the checkpoint yet."""


@pytest.mark.slow
def test_a_training_killed_at_any_moment_ends_with_the_same_weights(tmp_path: Path) -> None:
    script = [sys.executable, str(HERE / "killed_training.py"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found["killed"] >= 3 and found["writing"] >= 1 and found["continued"], found
    assert found["equal"] and found["hashes"][0] == found["hashes"][1], found


@pytest.mark.parametrize("recipe", [QCFS, INTEGERNET], ids=["qcfs", "integernet"])
def test_every_epoch_is_continued_bit_for_bit(recipe: Recipe, tmp_path: Path) -> None:
    """Stopped after each epoch in turn: momentum, channels-last, rounded weights and batch norm are all in the file."""
    path, notices, calls, data = tmp_path / "checkpoint", [], [], digits()
    data = replace(data, train_x=data.train_x[:400], train_y=data.train_y[:400])
    whole = train(recipe, data=data)

    def stop(phase: str, done: float, epochs: int, figures: dict[str, float]) -> None:
        if done != int(done):
            return
        calls.append((phase, done))
        if calls.count((phase, done)) == 1:
            raise Stopped

    for _ in range(20):
        try:
            again = train(recipe, data=data, checkpoint=path, progress=stop, notice=notices.append)
            break
        except Stopped:
            continue
    else:
        pytest.fail(f"never came to its end: {calls}")
    assert again.network.hash == whole.network.hash and again.report.accuracy == whole.report.accuracy
    assert list(again.report.accuracy) == list(whole.report.accuracy)
    a, b = whole.model.state_dict(), again.model.state_dict()
    assert list(a) == list(b) and all(torch.equal(v, b[k]) for k, v in a.items())
    assert len(calls) > len(set(calls)) >= 4 and len(notices) >= 3
    if recipe is QCFS:
        assert notices[-1] == f"continuing from {path}: float done, qcfs done, integers after epoch 1"


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "n.checkpoint"
    recipe = replace(INTEGERNET, epochs=1)
    hash_ = train(recipe, checkpoint=path).network.hash
    assert train(recipe, checkpoint=path).network.hash == hash_, "done, and done again without training"
    with pytest.raises(
        CheckpointError,
        match=r"n\.checkpoint: belongs to another recipe, with seed = 0, not 1; train from the beginning with --res",
    ):
        train(replace(recipe, seed=1), checkpoint=path)
    data = digits()
    with pytest.raises(CheckpointError, match=r"belongs to other data, digits, not digits, held out; .*--restart"):
        train(recipe, data=data.held_out(100), checkpoint=path)
    with pytest.raises(CheckpointError, match=r"belongs to other images of digits; .*--restart"):
        train(recipe, data=replace(data, train_x=data.train_x[:, :, ::-1].copy()), checkpoint=path)
    state = torch.load(path, weights_only=True)
    torch.save(state | {"identity": state["identity"] | {"version": "spikeloom 0"}}, path)
    with pytest.raises(CheckpointError, match=r"was written by spikeloom 0, and this is spikeloom .*; .*--restart"):
        train(recipe, checkpoint=path)
    for text in ("no JSON", "[1]"):
        torch.save(state | {"identity": state["identity"] | {"recipe": text}}, path)
        with pytest.raises(CheckpointError, match=r"checkpoint: belongs to no recipe that can be read: .*--restart"):
            train(recipe, checkpoint=path)
    respaced = json.dumps(json.loads(state["identity"]["recipe"]), indent=1)
    torch.save(state | {"identity": state["identity"] | {"recipe": respaced}}, path)
    with pytest.raises(CheckpointError, match="belongs to a recipe that was written in another way; .*--restart"):
        train(recipe, checkpoint=path)
    torch.save(state | {"done": {"integers": {"model": {}}}}, path)
    with pytest.raises(CheckpointError, match="damaged, the random numbers of step 'integers'; .*--restart"):
        train(recipe, checkpoint=path)
    del state["done"]["integers"]["model"]["layers.classes.shadow"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"n\.checkpoint: does not fit the training .*; .*--restart"):
        train(recipe, checkpoint=path)
    whole = path.read_bytes()
    largest = max(state["done"]["integers"]["model"].values(), key=lambda tensor: tensor.numel())
    at = whole.index(largest.numpy().tobytes())  # a weight with one other bit
    for content in (b"", b"not a checkpoint", whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"n\.checkpoint: not a checkpoint, or damaged .*; .*--restart"):
            train(recipe, checkpoint=path)


@pytest.mark.parametrize("held", [[1, 2], {"model": {}}, {"identity": {"version": 3}}, {"identity": "spikeloom"}])
def test_what_is_no_checkpoint_is_refused(held: object, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(held, path)
    checkpoint = Checkpoint(path)
    with pytest.raises(CheckpointError, match=r"other\.pt: not a checkpoint, it has no 'identity'"):
        checkpoint.read({"version": "spikeloom"})
    assert checkpoint.state == {}


def test_a_removed_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    checkpoint, identity = Checkpoint(tmp_path / "checkpoint"), {"version": "spikeloom"}
    checkpoint.write(identity, {})
    checkpoint.temporary.write_bytes(b"half of the next one")
    assert len(list(tmp_path.iterdir())) == 2 and checkpoint.state
    checkpoint.remove()
    assert not list(tmp_path.iterdir()) and checkpoint.state == {}
    checkpoint.remove()
    assert not checkpoint.read(identity)
    Checkpoint(None).remove()
