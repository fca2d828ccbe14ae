"""An exploration end to end: exact figures, the commands that build its points, what goes wrong, what is resumed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small
from typer.testing import CliRunner

from spikeloom import api
from spikeloom.cli import app
from spikeloom.explore import points as pts
from spikeloom.explore.explore import explore
from spikeloom.explore.figures import operations
from spikeloom.explore.options import Options
from spikeloom.gen.design import Design
from spikeloom.gen.emit.writer import performance, write
from spikeloom.gen.folding.fold import Fold, read_folds
from spikeloom.gen.folding.pareto import undominated
from spikeloom.gen.folding.space import Space
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.targets.fpga.synth import synthesise
from spikeloom.quant import golden
from spikeloom.sim.verify import verify

MODELS = Path(__file__).parents[2] / "models"
DIGITS = MODELS / "digits-t4w4.safetensors"


def run(*arguments: object) -> str:
    """The output of a command that must succeed."""
    done = CliRunner().invoke(app, ["explore", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def failed(*arguments: object) -> str:
    """What a command that must fail says."""
    done = CliRunner().invoke(app, ["explore", *map(str, arguments)])
    assert done.exit_code != 0
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Path, Path]:
    """A small network and random frames for it, labelled by its own answers but for two."""
    folder, network, frames = tmp_path_factory.mktemp("tiny"), small.network(), small.frames(12)
    api.save(network, folder / "tiny.safetensors")
    labels = golden.run(network, frames).classes
    labels[:2] = (labels[:2] + 1) % 3
    np.savez(folder / "data.npz", frames=frames, labels=labels)
    return folder / "tiny.safetensors", folder / "data.npz"


@pytest.fixture(scope="module")
def found(tiny, tmp_path_factory) -> tuple[Path, dict]:
    network, data = tiny
    folder = tmp_path_factory.mktemp("explored")
    text = run(network, "-o", folder, "--data", data, "-n", 12, "--jobs", 1, "--trials", 20, "--json")
    return folder, json.loads(text)


def test_every_figure_is_that_of_the_design(found):
    folder, explored = found
    assert explored["points"] == json.loads((folder / "explore.json").read_text())["points"]
    network = small.network()
    assert {point["source"] for point in explored["points"]} == {"exact", "sampled"}
    for point in explored["points"]:
        design = Design(network, read_folds(folder / point["fold_file"]), point["form"] == "counts")
        timing = performance(design)
        assert (point["interval"], point["latency"]) == (timing["interval"], timing["latency"])
        assert point["fps"] == pytest.approx(1e8 / timing["interval"], abs=0.01)
        assert point["latency_us"] == pytest.approx(timing["latency"] / 100)
        assert point["operations_per_cycle"] == pytest.approx((4 * 4 + 4 * 3 * 2) / timing["interval"], abs=1e-3)
        assert point["accuracy"] == pytest.approx(10 / 12)


def test_the_front_is_what_no_other_beats(found):
    points = found[1]["points"]
    figures = np.array([[p["interval"], p["latency"], p["luts"], p["ebr"]] for p in points])
    assert [p["id"] for p in points if p["front"]] == undominated(figures).tolist()
    assert found[1]["best"] == min((p["interval"], p["luts"], p["id"]) for p in points if p["front"])[2]


def test_the_command_of_a_point_builds_it(found):
    folder, explored = found
    point = next(p for p in explored["points"] if p["front"] and p["source"] == "sampled")
    arguments = shlex.split(point["build"])
    done = CliRunner().invoke(app, [*arguments[1:], "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert (made["interval_cycles"], made["latency_cycles"]) == (point["interval"], point["latency"])
    assert (folder / "designs" / str(point["id"]) / "spikeloom_top.v").is_file()


def test_points_drawn_at_random_take_the_cycles_predicted(tmp_path):
    """The RTL in Verilator, every word and cycle; benchmarks.explore does it for thirty points of the digits."""
    network = small.network(4)
    space = Space(network)
    for k, choices in enumerate(space.random(2, seed=7)):
        design = Design(network, space.folds(choices))
        contents = write(design, tmp_path / str(k))
        outcome = verify(design, contents, tmp_path / str(k), small.frames(6))
        assert outcome.passed and contents["predicted"]["interval_cycles"] == performance(design)["interval"]


def test_frame_rates_get_the_smallest_design_for_each(tmp_path):
    text = run(DIGITS, "-o", tmp_path, "--fps", "100000,20000,19000,1e8", "--device", "ecp5-25k", "--jobs", 1, "--json")
    explored = json.loads(text)
    asked = [(p["form"], p["asked_fps"]) for p in explored["points"]]
    assert asked == [(form, fps) for form in ("counts", "spikes") for fps in (100000.0, 20000.0, 19000.0)]
    assert all(p["fps"] >= p["asked_fps"] and p["fits"] for p in explored["points"])
    assert sum("100,000,000 frames a second" in note for note in explored["search"]["notes"]) == 2


def test_skipping_counts_the_cycles_of_the_images(tmp_path):
    explored = json.loads(run(DIGITS, "-o", tmp_path, "--data", "digits", "-n", 20, "--skip", "--points", 16,
                              "--trials", 0, "--jobs", 1, "--json"))  # fmt: skip
    network = api.load(DIGITS)
    frames = api.frames(network, "digits", 20).pixels
    point = next(p for p in explored["points"] if p["skip"])
    design = Design(network, read_folds(tmp_path / point["fold_file"]), point["form"] == "counts")
    assert point["interval"] == performance(design, frames)["interval"]
    assert explored["networks"][0]["energy_nj"] < explored["networks"][0]["ann_energy_nj"]


@pytest.mark.slow
def test_synthesis_corrects_the_cost_model(tiny, tmp_path):
    network, _ = tiny
    explored = explore([network], Options(workers=1, trials=0, synthesize=3, place=False), tmp_path / "results")
    model, done = explored["cost_model"], [p for p in explored["points"] if p["synthesis"]]
    assert model["points"] == len(done) == 3
    folds = {name: Fold(**fold) for name, fold in done[0]["folds"].items()}
    design = Design(api.load(network), folds, done[0]["form"] == "counts")
    assert done[0]["synthesis"]["lut4_eq"] == synthesise(tmp_path, write(design, tmp_path), "ecp5")["lut4_eq"]
    ratios = [(p["synthesis"]["lut4_eq"] + 6 * p["synthesis"]["lut_ram"]) / p["luts_model"] for p in done]
    assert model["scale"] == pytest.approx(np.median(ratios), abs=1e-4)
    assert model["lut_worst_percent"] == pytest.approx(100 * np.abs(1 / np.array(ratios) - 1).max(), abs=0.01)
    assert all(p["luts"] == pytest.approx(model["scale"] * p["luts_model"], abs=0.06) for p in explored["points"])


def test_narrower_weights_are_a_network_of_their_own(tiny, tmp_path):
    network, data = tiny
    explored = json.loads(run(network, "-o", tmp_path, "--data", data, "-n", 12, "--weight-bits", "2", "--jobs", 1,
                              "--trials", 0, "--points", 3, "--json"))  # fmt: skip
    assert [n["weight_bits"] for n in explored["networks"]] == [[3], [2]]
    assert {p["network"] for p in explored["points"]} == {0, 1}


def test_operations_are_those_of_the_layers():
    work = ((72, 64, 1), (0, 0, 0), (1152, 16, 4), (0, 0, 0), (640, 1, 4))
    assert [operations(layer) for layer in layers(api.load(DIGITS))] == [
        weights * pixels * steps for weights, pixels, steps in work
    ]


def test_points_for_synthesis_lie_apart():
    points = [
        {"id": k, "front": True, "fps": 1e6 / n, "interval": n, "luts": 1000.0 / n, "ebr": 0}
        for k, n in enumerate((1, 1.01, 10, 10.1, 100))
    ]
    assert [p["id"] for p in pts.spread(points, 3)] == [0, 2, 4]
    assert [p["id"] for p in pts.spread(points, 3, points[1])][:1] == [1]
    assert len(pts.spread(points, 9)) == 5


def test_bad_input_is_said_in_a_line(tiny, tmp_path):
    network, data = tiny
    assert "it needs --data" in failed(network, "-o", tmp_path, "--skip")
    assert "must be one of ulx3s-25f, ulx3s-85f" in failed(network, "-o", tmp_path, "--board", "icebreaker")
    assert "leave one of them out" in failed(network, "-o", tmp_path, "--board", "ulx3s-85f", "--device", "ecp5-25k")
    assert "must be positive numbers" in failed(network, "-o", tmp_path, "--fps", "10,x")
    assert "can be narrowed to 2..2, not to 5" in failed(network, "-o", tmp_path, "--weight-bits", "5")
    assert "no such file" in failed(tmp_path / "none.safetensors", "-o", tmp_path).lower()
    np.savez(tmp_path / "unlabelled.npz", frames=small.frames(4))
    said = failed(network, "-o", tmp_path, "--data", tmp_path / "unlabelled.npz", "-n", 4, "--jobs", 1, "--trials", 0)
    assert "has no labels" in said
    said = failed(network, "-o", tmp_path, "--device", "ecp5-12k", "--fps", "9e8", "--clock", 100, "--jobs", 1)
    assert "no design at all: tiny, spikes, 900,000,000 frames a second: hidden: needs at least" in said


def killed(network: Path, data: Path, tmp_path: Path, times: int) -> None:
    """An exploration killed ``times`` times at random moments, and then not, gives what an undisturbed one does."""
    rng = np.random.default_rng(11)

    def command(folder: Path) -> list[str]:
        program = "from spikeloom.cli import main; main()"
        return [sys.executable, "-c", program, "explore", str(network), "-o", str(folder), "--data", str(data),
                "-n", "12", "--jobs", "2", "--trials", "20"]  # fmt: skip

    start = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    whole = time.monotonic() - start
    for _ in range(times):
        process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.2, 0.9) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True)
    results = [{k: v for k, v in json.loads((tmp_path / n / "explore.json").read_text()).items()
                if k not in ("seconds", "command", "search", "date")} for n in ("whole", "killed")]  # fmt: skip
    for result in results:
        for point in result["points"]:
            del point["build"]
    assert results[0] == results[1]


@pytest.mark.slow
def test_a_killed_exploration_goes_on(tiny, tmp_path):
    killed(tiny[0], tiny[1], tmp_path, 1)


@pytest.mark.slow
def test_a_point_is_placed_for_its_clock(tiny, tmp_path):
    explored = explore([tiny[0]], Options(workers=1, trials=0, synthesize=1, device="ecp5-12k"), tmp_path / "results")
    (point,) = (p for p in explored["points"] if p["synthesis"])
    assert point["id"] == explored["best"] and point["synthesis"]["mhz"] > 50
    assert point["fps"] == pytest.approx(1e6 * point["synthesis"]["mhz"] / point["interval"], rel=1e-4)


@pytest.mark.slow
def test_an_exploration_killed_ten_times_goes_on(tiny, tmp_path):
    killed(tiny[0], tiny[1], tmp_path, 10)


@pytest.mark.parametrize("objective", ["accuracy", "energy_nj"])
def test_what_depends_on_images_needs_them(objective: str, tmp_path: Path) -> None:
    """Refused before anything is written."""
    said = failed(DIGITS, "-o", tmp_path / "out", "--objective", objective)
    assert f"{objective} needs --data" in said and not (tmp_path / "out").exists()
