"""Bad input: one clear line on stderr, a status that is not 0, no traceback, no half-written file."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from spikeloom.console import explain
from spikeloom.quant.conversion.integers import convert
from spikeloom.quant.conversion.shift_norm import shift_batch_norm
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.ir.ops import NetworkError


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def generate(cli, network: Path, tmp_path: Path, *more: object):
    """Generate into a folder and assert that nothing was left there."""
    ran = cli("generate", network, "-o", tmp_path / "design", *more)
    assert not (tmp_path / "design").exists() or files(tmp_path / "design") == []
    return ran


def test_unsupported_layer():
    conv = nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    with pytest.raises(UnsupportedLayer) as caught:
        convert(model, shape=(2, 8, 8), input_high=15, steps=4, weight_bits=4)
    assert explain(caught.value) == "0: padding_mode='reflect' is not supported; supported: padding_mode='zeros'"


@pytest.mark.parametrize("value", [0, -7])
def test_threshold_that_is_not_positive(cli, altered, tmp_path, value):
    ran = generate(cli, altered(fire__threshold=np.array([40, value], np.int64)), tmp_path)
    ran.refused("altered.safetensors", "fire", f"threshold of channel 1 is {value}", "must be positive")


def test_weights_that_are_no_integers(cli, altered, tmp_path):
    weight = np.ones((10, 8), np.float32)
    weight[3, 4] = np.nan
    generate(cli, altered(classes__weight=weight), tmp_path).refused("classes", "weight must be integers", "not F32")


def test_dead_channel_in_shift_based_batch_norm():
    with pytest.raises(NetworkError) as caught:
        shift_batch_norm(np.zeros(3), np.array([1.0, 2.0, 0.0]), 4, name="conv2")
    assert "conv2: channel 2 is dead" in str(explain(caught.value))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[classes]\noutputs = 3\ninputs = 1\nsteps = 1\n", ("classes", "outputs=3 does not divide 10", "1, 2, 5, 10")),
        ("[conv9]\noutputs = 1\ninputs = 1\nsteps = 1\n", ("conv9", "no such stage", "classes, conv")),
        ("[conv]\noutputs = '1'\ninputs = 1\nsteps = 1\n", ("folds.toml", "conv: outputs must be an integer", "'1'")),
        ("[conv\n", ("folds.toml", "not a readable fold file")),
    ],
)
def test_bad_fold_file(cli, network_file, tmp_path, text, words):
    (tmp_path / "folds.toml").write_text(text)
    generate(cli, network_file, tmp_path, "--fold", tmp_path / "folds.toml").refused(*words)


def test_target_out_of_reach(cli, network_file, tmp_path):
    generate(cli, network_file, tmp_path, "--cycles", 10).refused("needs at least", "more than the target of 10")


def test_files_that_are_no_networks(cli, network_file, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(network_file.read_bytes()[:-100])
    generate(cli, cut, tmp_path).refused("cut.safetensors", "truncated")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": np.zeros(3)}, foreign)
    generate(cli, foreign, tmp_path).refused("foreign.safetensors", "not a network of Spikeloom")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pt")
    generate(cli, tmp_path / "model.pt", tmp_path).refused("model.pt", "not a readable network file")
    generate(cli, tmp_path / "none.safetensors", tmp_path).refused("none.safetensors: no such file")


def test_changed_weights_do_not_pass_for_the_network(cli, altered, tmp_path):
    generate(cli, altered(readout__bias=np.zeros(10, np.int64)), tmp_path).refused("hash", "altered.safetensors")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((2, 1, 9, 8), np.uint8), ("(N, 1, 8, 8)", "(2, 1, 9, 8)")),
        (np.full((2, 1, 8, 8), 16, np.uint8), ("pixels must be in 0..15", "16")),
        (np.zeros((2, 1, 8, 8), np.float32), ("must be integers", "float32")),
        (np.zeros((0, 1, 8, 8), np.uint8), ("'frames' is empty",)),
    ],
)
def test_images_that_do_not_fit(cli, design, network_file, tmp_path, frames, words):
    np.savez(tmp_path / "bad.npz", frames=frames, labels=np.zeros(len(frames), np.int64))
    cli("eval", network_file, "--data", tmp_path / "bad.npz").refused(*words)
    before = files(design)
    cli("verify", design, "--data", tmp_path / "bad.npz", "-n", 1, "--simulator", "amaranth").refused(*words)
    assert files(design) == before


def test_data_that_is_not_there(cli, network_file, tmp_path):
    cli("eval", network_file, "--data", "imagenet").refused("imagenet", "supported: digits")
    cli("eval", network_file, "--data", "x.pt").refused("'x.pt' is unknown", "supported: digits", "FILE.npz")
    cli("eval", network_file, "--data", f"mnist:{tmp_path / 'none'}").refused("no such folder")
    cli("eval", network_file, "--data", tmp_path / "none.npz").refused("none.npz: no such file")
    cli("eval", network_file, "--data", "digits", "-n", 398).refused("397 test images", "398")
    np.savez(tmp_path / "blind.npz", frames=np.zeros((2, 1, 8, 8), np.uint8))
    cli("eval", network_file, "--data", tmp_path / "blind.npz").refused("labels")
    for labels, words in (
        ([1, 10], ("odd.npz: label 10 of image 1 is no class of the network, whose classes are 0..9; classes count",)),
        ([0, 10], ("label 10 of image 1", "0..9\n")),
        ([-1, 9], ("label -1 of image 0",)),
    ):
        np.savez(tmp_path / "odd.npz", frames=np.zeros((2, 1, 8, 8), np.uint8), labels=labels)
        cli("eval", network_file, "--data", tmp_path / "odd.npz").refused(*words)
    np.save(tmp_path / "one.npy", np.zeros((2, 1, 8, 8)))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    cli("eval", network_file, "--data", tmp_path / "one.npz").refused("one.npz: is a .npy file", "np.savez")
    (tmp_path / "text.npz").write_text("no archive")
    cli("eval", network_file, "--data", tmp_path / "text.npz").refused("text.npz", "not a readable .npz file")


@pytest.mark.parametrize("simulator", ["verilator", "cocotb", "cocotb-icarus"])
def test_missing_simulator(cli, design, tmp_path, simulator):
    ran = cli("verify", design, "--data", "digits", "-n", 1, "--simulator", simulator, "--json", PATH=str(tmp_path))
    ran.refused("which is not on the PATH", "apt-get install")
    assert ran.out == ""


def test_unknown_recipe_key_and_recipes_that_are_none(cli, tmp_path):
    recipe, output = tmp_path / "r.toml", tmp_path / "net.safetensors"
    good = 'data = "digits"\nmodel = "mlp"\nsteps = 2\nweight_bits = 3\nepochs = {float = 0, qcfs = 0, integers = 0}\n'
    for text, words in (
        (good + "stepps = 4\n", ("r.toml", "'stepps' is unknown", "known keys: data")),
        (good.replace("steps = 2\n", ""), ("'steps' is missing",)),
        (good.replace("weight_bits = 3", "weight_bits = 9"), ("weight_bits must be in 2..8",)),
        ("data = ", ("not a TOML file",)),
        (good.replace("mlp", "transformer"), ("transformer", "supported: cnn, lenet5, mlp")),
    ):
        recipe.write_text(text)
        cli("train", recipe, "-o", output).refused(*words)
        assert files(tmp_path) == ["r.toml"]
    cli("train", tmp_path / "none.toml", "-o", output).refused("none.toml", "no such file")


def test_output_that_cannot_be_written(cli, process, network_file, tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "r.toml").write_text(
        'data = "digits"\nmodel = "mlp"\nsteps = 2\nweight_bits = 3\nepochs = {float = 500, qcfs = 0, integers = 0}\n'
    )
    below = tmp_path / "file" / "below"
    before = files(tmp_path)
    # Training would take minutes: the folder must be tried before.
    cli("train", tmp_path / "r.toml", "-o", below / "net.safetensors").refused("file")
    process("generate", network_file, "-o", below).refused("file")
    cli("demo", "-o", below).refused("file")
    assert files(tmp_path) == before and (tmp_path / "file").read_text() == "in the way"


def test_folder_that_is_no_design(cli, design, tmp_path):
    cli("verify", tmp_path, "--data", "digits").refused("not a generated design", "spikeloom generate")
    cli("synth", tmp_path).refused("not a generated design")
    folder = tmp_path / "mixed"
    shutil.copytree(design, folder)
    contents = json.loads((folder / "design.json").read_text())
    contents["network"]["hash"] = "0" * 64
    (folder / "design.json").write_text(json.dumps(contents))
    cli("verify", folder, "--data", "digits").refused("not the network of design.json")
    shutil.copytree(design, tmp_path / "bare")
    (tmp_path / "bare" / "spikeloom_top.v").unlink()
    cli("synth", tmp_path / "bare").refused("spikeloom_top.v", "no such file")


def test_missing_package_names_the_extra(process, network_file, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    recipe = Path(__file__).parents[2] / "examples" / "digits.toml"
    done = process("train", recipe, "-o", tmp_path / "net.safetensors", PYTHONPATH=path)
    done.refused("torch", "pip install 'torch>=2.6' 'scikit-learn>=1.5' (the extra 'train'")


def test_bugs_keep_their_traceback():
    assert explain(KeyError("x")) is None and explain(ValueError("x")) is None
