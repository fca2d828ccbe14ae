"""The loss is its formula; recipes' options for it, for averages and for images held out do what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spikeloom.quant import golden
from spikeloom.quant.data import digits
from spikeloom.quant.models import build
from spikeloom.quant.recipe import Distill, Epochs, IntegerNetRecipe, QcfsRecipe, RecipeError, Start, read
from spikeloom.quant.training.losses import loss_of
from spikeloom.quant.training.train import train

ROOT = Path(__file__).parents[2]
SHORT = QcfsRecipe(
    data="digits",
    model="mlp",
    model_args={"hidden": [16]},
    steps=4,
    weight_bits=4,
    batch=100,
    epochs=Epochs(float=2, qcfs=2, integers=1),
)


def test_the_loss_is_its_formula() -> None:
    torch.manual_seed(0)
    logits, taught, y = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5), torch.arange(6) % 5
    p = logits.detach().softmax(1)
    assert torch.allclose(loss_of(logits, y), -p[torch.arange(6), y].log().mean())
    smooth = torch.full((6, 5), 0.2 / 5)
    smooth[torch.arange(6), y] += 0.8
    smoothed = -(smooth * p.log()).sum(1).mean()
    assert torch.allclose(loss_of(logits, y, smoothing=0.2), smoothed)
    a, b = (taught / 3).softmax(1), (logits.detach() / 3).softmax(1)
    apart = (a * (a / b).log()).sum(1).mean()
    got = loss_of(logits, y, smoothing=0.2, taught=taught, weight=0.7, temperature=3.0)
    assert torch.allclose(got, 0.3 * smoothed + 0.7 * 9 * apart)
    same = loss_of(taught, y, taught=taught, weight=1.0, temperature=2.0)
    assert abs(same.item()) < 1e-6, "nothing to learn from a teacher that says the same"


def test_every_option_changes_the_network_and_it_stays_repeatable() -> None:
    distill = Distill(weight=0.9, temperature=2.0)
    recipes = [SHORT, replace(SHORT, label_smoothing=0.2), replace(SHORT, distill=distill), replace(SHORT, average=0.8)]
    hashes = [train(recipe).network.hash for recipe in recipes]
    assert len(set(hashes)) == 4 and train(recipes[2]).network.hash == hashes[2]


def test_the_average_is_that_of_the_weights_of_every_batch() -> None:
    """One batch: the average after it lies between the weights before and after."""
    data = digits()
    data = replace(data, train_x=data.train_x[:100], train_y=data.train_y[:100])
    recipe = IntegerNetRecipe(data="digits", model="mlp", bits=4, batch=100, epochs=1, rate=0.5, last_rate=0.5)
    after, mean = (train(replace(recipe, average=a), data=data).model.state_dict() for a in (0.0, 0.75))
    name = "layers.classes.shadow"
    before = (mean[name] - 0.25 * after[name]) / 0.75
    step = (after[name] - before).abs()
    assert ((step - 0.5).abs() < 1e-3).float().mean() > 0.9, "Adam's first step is its rate, where there is a gradient"


def test_a_teacher_of_its_own(tmp_path: Path) -> None:
    model = build("cnn", (1, 8, 8), 10, channels=(2,))
    torch.save(model.state_dict(), tmp_path / "teacher.pt")
    distill = Distill(model="cnn", model_args={"channels": [2]}, start=Start(file=str(tmp_path / "teacher.pt")))
    recipe = IntegerNetRecipe(data="digits", model="mlp", bits=4, batch=100, epochs=1)
    assert train(replace(recipe, distill=distill)).network.hash != train(recipe).network.hash
    with pytest.raises(RecipeError, match="distill must be with a model, for there is no float phase, not Distill"):
        replace(recipe, distill=Distill())
    with pytest.raises(RecipeError, match="distill must be with both model and start, or neither"):
        replace(SHORT, distill=Distill(model="cnn"))
    with pytest.raises(RecipeError, match=r"Recipe: distill: start: .*none\.pt: no such file"):
        train(replace(recipe, distill=replace(distill, start=Start(file=str(tmp_path / "none.pt")))))


def test_images_held_out_by_the_recipe_are_watched_and_not_trained_on() -> None:
    data, seen = digits(), []
    recipe = replace(SHORT, held_out=300)
    trained = train(recipe, progress=lambda phase, done, of, found: seen.append((phase, done, found.get("held out"))))
    x, y = data.train_x[1100:], data.train_y[1100:]
    assert golden.accuracy(trained.network, x, y) == trained.report.accuracy["causal"]
    epochs = [(phase, share) for phase, done, share in seen if done == int(done)]
    assert len(epochs) == 5 and all(share is not None for _, share in epochs)
    assert dict(epochs) == {p: trained.report.accuracy[n] for p, n in
                            (("float", "float"), ("qcfs", "qcfs"), ("integers", "fake-quantised"))}  # fmt: skip
    other = replace(data, train_x=data.train_x.copy())
    other.train_x[1100:] = 0
    assert train(recipe, data=other).network.hash == trained.network.hash
    assert train(recipe, held_out=200).network.hash != trained.network.hash


NEW = ("fashion_qcfs", "mnist_qcfs", "cifar_resnet20_t4", "cifar_resnet20_t2", "cifar_integernet")


@pytest.mark.parametrize("name", NEW)
def test_examples_are_sound(name: str) -> None:
    recipe = read(ROOT / "examples" / f"{name}.toml")
    shape = (3, 32, 32) if "cifar" in name else (1, 28, 28)
    model = build(recipe.model, shape, 10, **recipe.model_args)
    weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    assert not recipe.held_out and recipe.distill is not None
    if name == "fashion_qcfs":
        assert weights == 96_160
