"""Recipes are read strictly; a short training is repeatable and its figures hang together; the demo network stands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeloom.quant import golden
from spikeloom.quant.analysis import activity
from spikeloom.quant.data import digits
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Synapse
from spikeloom.quant.models import build
from spikeloom.quant.recipe import Epochs, QcfsRecipe, Rates, RecipeError, read
from spikeloom.quant.training.augment import moved
from spikeloom.quant.training.train import Trained, train

ROOT = Path(__file__).parents[2]
SHORT = QcfsRecipe(
    data="digits",
    model="cnn",
    model_args={"channels": [4, 8]},
    steps=4,
    weight_bits=4,
    batch=100,
    shift=1,
    epochs=Epochs(float=4, qcfs=3, integers=3),
)


def read_qcfs(path: Path) -> QcfsRecipe:
    recipe = read(path)
    assert isinstance(recipe, QcfsRecipe)
    return recipe


@pytest.fixture(scope="module")
def short() -> tuple[Trained, list[tuple[str, int, int]]]:
    calls: list[tuple[str, int, int]] = []

    def called(phase: str, done: float, epochs: int, figures: dict[str, float]) -> None:
        if done == int(done):  # in between there are as many as the machine is slow
            calls.append((phase, int(done), epochs))
            assert 0 < figures["train"] <= 1 and figures["loss"] > 0 and "held out" not in figures

    return train(SHORT, progress=called), calls


def test_a_short_training_learns_and_reports(short) -> None:
    trained, calls = short
    assert calls == [(p, k, n) for p, n in (("float", 4), ("qcfs", 3), ("integers", 3)) for k in range(1, n + 1)]
    found = trained.report.accuracy
    assert list(found) == ["float", "qcfs", "converted", "fake-quantised", "lossless", "causal"]
    assert min(found["float"], found["qcfs"], found["causal"]) > 0.5
    assert list(trained.report.seconds) == ["float", "qcfs", "integers"]
    assert trained.report.lost()["qcfs"] == pytest.approx(found["float"] - found["qcfs"])


def test_the_last_phase_is_the_network_it_trains_for(short) -> None:
    trained, _ = short
    data, found = digits(), trained.report.accuracy
    assert found["fake-quantised"] == found["causal"], "same integers, so the same accuracy and not nearly"
    for rule, network in (("causal", trained.networks["causal"]), ("lossless", trained.networks["lossless"])):
        assert {n.rule for n in network if isinstance(n, IF)} == {rule}
        assert golden.accuracy(network, data.test_x, data.test_y) == found[rule]
        assert network.meta["rule"] == rule and json.loads(network.meta["recipe"])["steps"] == 4
    assert trained.network is trained.networks["causal"]
    with golden.exact_math():
        logits = trained.model(torch.from_numpy(data.test_x)).numpy()
    assert np.array_equal(logits.argmax(1), golden.run(trained.networks["causal"], data.test_x).classes)


def test_the_same_recipe_gives_the_same_network_and_another_seed_another(short) -> None:
    torch.manual_seed(99)  # the caller's random numbers are neither used nor touched
    before = torch.get_rng_state()
    again = train(SHORT)
    assert torch.equal(torch.get_rng_state(), before)
    assert (
        again.networks["causal"].hash == short[0].networks["causal"].hash
        and again.report.accuracy == short[0].report.accuracy
    )
    tiny = replace(SHORT, epochs=Epochs(float=1, qcfs=0, integers=0))
    assert train(tiny).network.hash != train(replace(tiny, seed=1)).network.hash


def test_the_test_split_has_no_say(short) -> None:
    data = digits()
    other = replace(data, test_x=data.test_x[:50][:, :, ::-1].copy(), test_y=data.test_y[:50])
    assert train(SHORT, data=other).network.hash == short[0].networks["causal"].hash


def test_lossless_in_the_loop() -> None:
    tiny = replace(
        SHORT, model="mlp", model_args={"hidden": [16]}, rule="lossless", epochs=Epochs(float=2, qcfs=1, integers=1)
    )
    trained = train(tiny)
    assert trained.report.accuracy["fake-quantised"] == trained.report.accuracy["lossless"]
    assert trained.network is trained.networks["lossless"]


def test_images_move_by_whole_pixels_and_zeros_come_in() -> None:
    x = torch.arange(1.0, 2 * 2 * 4 * 3 + 1).view(2, 2, 4, 3)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        for image, from_ in zip(moved(x, 1), padded, strict=True):
            seen.add(
                next((i, j) for i in range(3) for j in range(3) if torch.equal(image, from_[:, i : i + 4, j : j + 3]))
            )
    assert len(seen) == 9 and torch.equal(moved(x, 0), x)


@pytest.mark.parametrize("name", ["digits", "digits_mlp"])
def test_examples_are_sound(name: str) -> None:
    recipe = read_qcfs(ROOT / "examples" / f"{name}.toml")
    assert (recipe.steps, recipe.levels, recipe.weight_bits, recipe.data) == (4, 4, 4, "digits")
    build(recipe.model, (1, 8, 8), 10, **recipe.model_args)


GOOD = """data = "digits"
model = "mlp"
steps = 4
weight_bits = 4
[epochs]
float = 1
qcfs = 1
integers = 1
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 4", "step = 4", r"r\.toml: key 'step' is unknown \(is 'steps' meant\?\); known keys: data, m"),
        ("qcfs = 1", "qfcs = 1", r"r\.toml: \[epochs\]: key 'qfcs' is unknown \(is 'qcfs' .*; known keys: float, q"),
        ("steps = 4\n", "", r"r\.toml: key 'steps' is missing"),
        ("qcfs = 1\n", "", r"r\.toml: \[epochs\]: key 'qcfs' is missing"),
        ("steps = 4", "steps = 65", r"Recipe: steps must be in 1\.\.64, not 65"),
        ("steps = 4", "steps = 4.0", r"r\.toml: steps must be an integer, not 4\.0"),
        ("steps = 4", "steps = true", r"r\.toml: steps must be an integer, not True"),
        ("weight_bits = 4", "weight_bits = 9", r"Recipe: weight_bits must be in 2\.\.8, not 9"),
        ("steps = 4", 'steps = 4\nmethod = "magic"', r"method must be 'qcfs' or 'integernet' or .*, not 'magic'"),
        ("steps = 4", 'steps = 4\nrule = "leaky"', r"Recipe: rule must be 'causal' or 'lossless', not 'leaky'"),
        ('"digits"', "7", r"r\.toml: data must be a string, not 7"),
        ("steps = 4", "steps = 4\nlast_bits = 9", r"Recipe: last_bits must be in 2\.\.8, not 9"),
        ("steps = 4", "steps = 4\nwarm_up = nan", r"r\.toml: warm_up must be a finite number, not nan"),
        ("steps = 4", "steps = 4\nweight_decay = -1.0", r"Recipe: weight_decay must be 0 or more, not -1\.0"),
        ("steps = 4", "steps = 4\nrates = {float = -1}", r"Recipe: rates\.float must be 0 or more, not -1"),
        ("steps = 4", "steps = 4\nshift = 9999999999", r"Recipe: shift must be below 2\^31, not 9999999999"),
        ("steps = 4", "steps = 4\nx = " + "[" * 10_000, r"r\.toml: not a TOML file \(its tables are too deep"),
        ("[epochs]", "[epochs", r"r\.toml: not a TOML file"),
        ("[epochs]\nfloat = 1\nqcfs = 1\nintegers = 1", "epochs = 3", r"\[epochs\]: must be a table, not 3"),
    ],
)
def test_bad_recipes_are_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(GOOD)
    assert read_qcfs(path).rates == Rates() and read_qcfs(path).levels == 4
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError, match=message):
        read(path)


def test_unknown_models_and_arguments() -> None:
    with pytest.raises(ValueError, match=r"Model 'gpt' is unknown; supported: cnn, lenet5, mlp, mnist_c, resnet, vgg"):
        build("gpt", (1, 8, 8), 10)
    with pytest.raises(ValueError, match=r"Model 'mlp' has no argument 'depth'; its arguments: hidden"):
        build("mlp", (1, 8, 8), 10, depth=3)
    with pytest.raises(ValueError, match=r"conv4: nothing is left of an image of 8x8 after 4 pools"):
        build("cnn", (1, 8, 8), 10, channels=(2, 2, 2, 2))
    with pytest.raises(RecipeError, match=r"Recipe: batch must be at most 1400, the training images of digits"):
        train(replace(SHORT, batch=2000))


def test_the_demo_network() -> None:
    """The network in models/: its recipe is the one in examples/, its accuracy what it says, and it is small."""
    network = netfile.load(ROOT / "models" / "digits-t4w4.safetensors")
    recipe, stated = json.loads(network.meta["recipe"]), json.loads(network.meta["accuracy"])
    assert recipe["epochs"] == vars(read_qcfs(ROOT / "examples" / "digits.toml").epochs)
    data = digits()
    assert golden.accuracy(network, data.test_x, data.test_y) == pytest.approx(stated["causal"], abs=1e-6)
    assert stated["causal"] >= 0.97 and stated["lossless"] >= 0.97
    lossless = Network(nodes=tuple(replace(n, rule="lossless") if isinstance(n, IF) else n for n in network), steps=4)
    assert golden.accuracy(lossless, data.test_x, data.test_y) == pytest.approx(stated["lossless"], abs=1e-6)
    synapses = [n for n in network if isinstance(n, Synapse)]
    operations = sum(n.weight[0].size * int(np.prod(network.signals[n.name].shape)) for n in synapses)
    assert operations <= 60_000 and {n.weight_bits for n in synapses} == {4}
    over_time = (activity.measure(network, data.test_x).classes_over_time == data.test_y[:, None]).mean(0)
    assert over_time.shape == (4,) and over_time[-1] == pytest.approx(stated["causal"], abs=1e-6)
