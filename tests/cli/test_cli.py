"""Every command on a small network: what it prints, what it writes, what its JSON holds."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spikeloom
from spikeloom.demo import RECIPE
from spikeloom.gen.targets.fpga import synth
from spikeloom.gen.targets.yosys import YosysError
from spikeloom.quant import recipe
from spikeloom.quant.ir import netfile

EXAMPLES = Path(__file__).parents[2] / "examples"

TINY_RECIPE = """\
data = "digits"
model = "mlp"
steps = 2
weight_bits = 3
model_args = {hidden = [4]}
epochs = {float = 1, qcfs = 1, integers = 1}
"""


def test_version_and_help_come_without_the_heavy_packages(process):
    assert process("--version").out == f"spikeloom {spikeloom.__version__}\n"
    shown = process("--help").out
    assert [c for c in ("demo", "train", "eval", "generate", "verify", "synth") if f"  {c} " not in shown] == []
    code = "import sys; from spikeloom.cli import app; print(sorted({'torch', 'numpy', 'amaranth'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_generate_never_imports_torch(network_file, tmp_path):
    code = (
        "import sys; from spikeloom.cli import app\n"
        f"app(['generate', {str(network_file)!r}, '-o', {str(tmp_path / 'd')!r}], standalone_mode=False)\n"
        "print('torch' in sys.modules, 'amaranth' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "False True\n"


def test_usage_errors_end_with_status_2(cli, network_file):
    for arguments in (
        ("generate",),
        ("generate", network_file),
        ("nonsense",),
        ("eval", network_file, "--data", "digits", "-n", "0"),
        ("verify", "x", "--data", "digits", "--simulator", "questa"),
        ("synth", "x", "--device", "ice40", "--clock"),
        ("synth", "x", "--seeds", "2"),
        ("synth", "x", "--jobs", "2"),
        ("synth", "x", "--place", "--seeds", "0"),
    ):
        ran = cli(*arguments)
        assert ran.status == 2 and "Traceback" not in ran.err, (arguments, ran)


def test_train_writes_a_network_and_reports_each_step(cli, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY_RECIPE)
    ran = cli("train", tmp_path / "tiny.toml", "-o", tmp_path / "new" / "net.safetensors", "--json")
    assert ran.status == 0, ran.err
    steps = ["float", "qcfs", "converted", "fake-quantised", "lossless", "causal"]
    assert list(ran.json["accuracy"]) == steps and list(ran.json["lost"]) == steps[1:]
    network = netfile.load(tmp_path / "new" / "net.safetensors")
    assert (network.hash, network.steps, network.classes) == (ran.json["hash"], 2, 10)
    images = spikeloom.frames(network, "digits")
    assert spikeloom.evaluate(network, images)["accuracy"] == pytest.approx(ran.json["accuracy"]["causal"])


def test_train_on_other_data_and_on_held_out_images(cli, tmp_path):
    (tmp_path / "r.toml").write_text(
        'data = "mnist:nowhere"\nmodel = "mlp"\nmethod = "integernet"\nbits = 3\nepochs = 1\n'
    )
    output = tmp_path / "net.safetensors"
    cli("train", tmp_path / "r.toml", "-o", output).refused("nowhere", "no such folder")
    ran = cli("train", tmp_path / "r.toml", "-o", output, "--data", "digits", "--held-out", 200, "--json")
    assert ran.status == 0, ran.err
    network = netfile.load(output)
    assert list(ran.json["accuracy"]) == ["fake-quantised", "integers"] and ran.json["kind"] == "3-bit values"
    assert network.meta["data"] == "digits, held out" and network.steps == ran.json["steps"] == 1
    assert '"data": "digits"' in network.meta["recipe"]
    ran = cli("train", tmp_path / "r.toml", "-o", output, "--data", "digits", "--held-out", 200)
    assert "200 held-out training images of digits" in ran.out and "3-bit values, T = 1" in ran.out
    cli("train", tmp_path / "r.toml", "-o", output, "--data", "digits", "--held-out", 1400).refused("held out must be")


def test_eval_counts_right_answers(cli, network, network_file, tmp_path):
    images = spikeloom.frames(network, "digits", 50)
    from spikeloom.quant import golden

    classes = golden.run(network, images.pixels).classes
    labels = np.where(np.arange(50) < 20, classes, (classes + 1) % 10)
    np.savez(tmp_path / "some.npz", frames=images.pixels, labels=labels)
    ran = cli("eval", network_file, "--data", tmp_path / "some.npz", "--json")
    assert ran.json["accuracy"] == pytest.approx(0.4) and ran.json["frames"] == 50
    assert len(ran.json["over_time"]) == 2 and ran.json["over_time"][-1] == ran.json["accuracy"]
    assert ran.json["operations"] == pytest.approx(sum(layer["operations"] for layer in ran.json["layers"]))
    shown = cli("eval", network_file, "--data", tmp_path / "some.npz").out
    assert "40.00 %" in shown and f"{ran.json['operations']:,.0f} synaptic operations" in shown


def test_generate_prints_folds_and_writes_the_design(cli, network_file, tmp_path):
    (tmp_path / "folds.toml").write_text("[conv]\noutputs = 2\ninputs = 1\nsteps = 1\n")
    options = "--fold", tmp_path / "folds.toml", "--cycles", 80
    ran = cli("generate", network_file, "-o", tmp_path / "d", *options, "--json")
    assert ran.status == 0, ran.err
    flags = dict.fromkeys(("skip", "logic", "multiply", "packed"), False)
    assert ran.json["folds"]["conv"] == {"outputs": 2, "inputs": 1, "steps": 1, "pixels": 1} | flags
    assert ran.json["stages"]["classes"]["cycles"] <= 80 < ran.json["latency_cycles"]
    beside = json.loads((tmp_path / "d" / "design.json").read_text())["files"].values()
    wanted = {"design.json", "network.safetensors", "spikeloom_top.v", "spikeloom_top.vlt", *beside}
    assert {p.name for p in (tmp_path / "d").iterdir()} == wanted and "spikeloom_top_tb.v" in wanted
    assert {Path(file).name for file in ran.json["files"]} == wanted
    shown = cli("generate", network_file, "-o", tmp_path / "d2", *options).out
    assert re.search(r"^ *conv +2 x 1 x 1 +64 ", shown, re.MULTILINE), shown
    assert f"latency {ran.json['latency_cycles']} cycles" in shown
    assert (tmp_path / "d" / "spikeloom_top.v").read_bytes() == (tmp_path / "d2" / "spikeloom_top.v").read_bytes()


def test_verify_in_amaranth(cli, design):
    ran = cli("verify", design, "--data", "digits", "-n", 2, "--simulator", "amaranth", "--pauses", 0.3, "--json")
    assert ran.status == 0, ran.err
    assert ran.json["passed"] and ran.json["frames"] == 2 and ran.json["differences"] == []
    assert ran.json["transfers"] > 2 * 64 and len(ran.json["classes"]) == 2
    shown = cli("verify", design, "--data", "digits", "-n", 1, "--simulator", "amaranth").out
    assert "equal in every cycle: 1 frames" in shown and "cycles/s" in shown


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog")
def test_verify_fails_at_the_first_difference_of_changed_verilog(cli, design, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(design, folder)
    verilog = folder / "spikeloom_top.v"
    text = verilog.read_text()
    # What is seen of the input, and what the second stage gets.
    for line, wrong in (
        ("assign b0__payload = i__payload;", "assign b0__payload = i__payload ^ 4'hf;"),
        (".i__payload(b1__payload),", ".i__payload(b1__payload ^ 4'hf),"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, wrong)
    verilog.write_text(text)
    arguments = ("verify", folder, "--data", "digits", "-n", 1, "--simulator", "cocotb-icarus")
    ran = cli(*arguments)
    ran.refused("frame 0, i, cycle 0, word 0 of the frame: channel 0, y 0, x 0, step 0: expected 0, got 15")
    assert "Transfers on i" in ran.out and "also: frame 0, classes, " in ran.out
    found = cli(*arguments, "--json")
    assert found.status == 1 and not found.json["passed"] and len(found.json["differences"]) == 3


@pytest.mark.parametrize(
    ("device", "names"),
    [("ecp5", ["lut4_eq", "lut_ram", "ff", "ebr", "mult"]), ("ice40", ["lut4", "ff", "carry", "ram", "mult"])],
)
def test_synth_counts_cells(cli, design, device, names):
    ran = cli("synth", design, "--device", device, "--json")
    assert ran.status == 0, ran.err
    cells = ran.json["cells"]
    assert set(names) <= set(cells) and cells["ff"] > 20
    if device == "ecp5":
        assert cells["lut4_eq"] == cells["lut4"] + 2 * cells["ccu2c"] > 0 == cells["mult"]


def test_synth_keeps_the_fastest_of_several_seeds(cli, design, tmp_path, monkeypatch):
    """With a nextpnr that reaches another clock from every seed, and fails from one."""

    def nextpnr(work, options, seed, delays):
        assert {"--25k", "100.0"} <= set(options) and (work / "top.json").is_file() and not delays
        if seed == 2:
            raise YosysError("nextpnr failed: killed")
        return {1: 100.0, 3: 125.0, 4: 110.0}[seed], {"comb": 10 * seed, "ff": 5, "ebr": 0}

    monkeypatch.setattr(synth, "_nextpnr", nextpnr)
    arguments = ("synth", design, "--place", "--size", "25k", "--seeds", 4, "--jobs", 2)
    ran = cli(*arguments, "-o", tmp_path / "new" / "seeds.json", "--json")
    assert ran.status == 0, ran.err
    clock = ran.json["clock"]
    assert (clock["mhz"], clock["seed"], clock["comb"], clock["target_mhz"]) == (125.0, 3, 30, 100)
    assert [clock["spread"][name] for name in ("min_mhz", "median_mhz", "max_mhz", "seeds", "failed")] \
        == [100.0, 110.0, 125.0, 3, 1]
    written = json.loads((tmp_path / "new" / "seeds.json").read_text())
    assert written == clock | {"cells": ran.json["cells"]}
    shown = cli(*arguments)
    assert "125.0 MHz after place and route on LFE5U-25F" in shown.out and "(asked for 100 MHz)" in shown.out
    assert "the fastest of 3 placements, seed 3: 100.0 to 125.0 MHz, median 110.0" in shown.out
    assert "seed 2 failed: nextpnr failed: killed" in shown.out


def test_the_recipe_built_into_the_demo_is_the_one_in_examples(tmp_path):
    (tmp_path / "built_in.toml").write_text(RECIPE)
    assert recipe.read(tmp_path / "built_in.toml") == recipe.read(EXAMPLES / "digits.toml")
