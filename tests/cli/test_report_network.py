"""``spikeloom report``: what is on the page of a network equals a count of another kind, and bad input is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_folder import SPIKING, Folder

import spikeloom
from spikeloom import api
from spikeloom.browser import check_page, find_browser
from spikeloom.quant import golden
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Flatten, Input, Linear, Readout, Requant
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.reports.source import read

MODELS = Path(__file__).resolve().parents[2] / "models"
SECTIONS = ("summary", "graph", "accuracy", "spikes", "histograms", "reproduce")


@pytest.fixture
def folder(tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, cli)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.safetensors"
    shutil.copy(MODELS / "digits-t4w4.safetensors", path)
    return path


@pytest.fixture(scope="module")
def measured(digits: Path, cli: Any) -> Any:
    ran = cli("report", digits, "--test", "digits", "-n", 60, "--json")
    assert ran.status == 0, ran.err
    return ran


@pytest.fixture(scope="module")
def page(measured: Any) -> Path:
    return Path(measured.json["report"])


def changed(network: Network, name: str, **fields: Any) -> Network:
    nodes = tuple(replace(node, **fields) if node.name == name else node for node in network)
    return replace(network, nodes=nodes)


def lines(found: dict[str, Any]) -> Counter[int]:
    """The bins of a histogram that are not empty, by their lower edge in widths of a bin."""
    first = round(found["first"] / found["width"])
    return Counter({first + k: n for k, n in enumerate(found["counts"]) if n})


def within(found: dict[str, Any], bins: list[int]) -> Counter[int]:
    """Those of ``bins`` that ``found`` has; it must have counted the others as beyond them."""
    first = round(found["first"] / found["width"])
    inside = [k for k in bins if first <= k < first + len(found["counts"])]
    assert found["below"] == sum(k < first for k in bins) and len(bins) == len(inside) + found["below"] + found["above"]
    return Counter(inside)


@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
def test_histograms_of_spiking_neurons_equal_a_count_one_by_one(network: Network, rule: str) -> None:
    made = changed(network, "fire", rule=rule)
    pixels = np.random.default_rng(5).integers(0, 16, (7, 1, 8, 8))
    found = api.report(made, test=(pixels, np.arange(7) % 10)).figures()
    weight = network["conv"].arrays()["weight"]
    spikes, before = Counter(), list[int]()
    for image in pixels:
        for c, y, x in np.ndindex(2, 2, 2):
            current = int((weight[c, 0] * image[0, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]).sum())
            threshold, bias, v = [40, 30][c], [3, -2][c], [20, 15][c]
            count, steps = 0, [v + 2 * (current + bias)] if rule == "lossless" else []
            for t in (1, 2):
                v += current + bias
                if rule == "lossless":
                    count += steps[0] >= t * threshold
                    continue
                steps.append(v)
                fired = 1 if v >= threshold else -1 if rule == "signed" and v < 0 and count > 0 else 0
                count, v = count + fired, v - fired * threshold
            spikes[count] += 1
            before += [8 * value // threshold for value in steps]
    edges = found["histograms"]["membranes"]["fire"]
    assert edges["width"] == 0.125 and lines(edges) == within(edges, before) and len(lines(edges)) > 10
    assert lines(found["histograms"]["activations"]["fire"]) == spikes
    assert lines(found["histograms"]["activations"]["input"]) == Counter(pixels.ravel().tolist())
    assert lines(found["histograms"]["weights"]["conv"]) == Counter(weight.ravel().tolist())
    assert found["silent"]["fire"] == 0


def test_histograms_of_quantisers(cli: Any) -> None:
    rng = np.random.default_rng(3)
    weight, threshold = rng.integers(-7, 8, (3, 4)), np.sort(rng.integers(-30, 90, (3, 5)), 1)
    end = (Linear(name="last", source="act", weight=np.eye(3, dtype=int), weight_bits=2),
           Readout(name="out", source="last", bias=[0, 0, 0]))
    begin = (Input(name="input", shape=(1, 2, 2), high=7), Flatten(name="flat", source="input"),
             Linear(name="first", source="flat", weight=weight, weight_bits=4))
    pixels = rng.integers(0, 8, (9, 1, 2, 2))
    currents = pixels.reshape(9, 4) @ weight.T
    requant = Requant(name="act", source="first", bias=[5, -3, 0], shift=[2, -1, 0], lo=0, hi=15)
    found = api.report(Network((*begin, requant, *end), 1), test=pixels).figures()["histograms"]
    exact = np.stack([(currents[:, 0] - 5) / 4, (currents[:, 1] + 3) * 2, currents[:, 2]], 1)
    bins = found["membranes"]["act"]
    assert bins["width"] == 1 / 3 and bins["below"] > 0 < bins["above"]
    assert lines(bins) == within(bins, [3 * numerator // 4 for numerator in (4 * exact).astype(int).ravel().tolist()])
    assert lines(found["activations"]["act"]) == Counter(np.clip(np.floor(exact), 0, 15).ravel().tolist())
    stairs = Staircase(name="act", source="first", threshold=threshold, low=-1)
    report = api.report(Network((*begin, stairs, *end), 1), test=pixels)
    climbed = [-1 + sum(currents[n, c] >= t for t in threshold[c]) for n in range(9) for c in range(3)]
    assert lines(report.figures()["histograms"]["activations"]["act"]) == Counter(map(float, climbed))
    lowest = [currents[n, c] >= threshold[c, 0] for n in range(9) for c in range(3)]
    above = report.spread.tested["act"].histogram.share_from(0)  # the first threshold is where the values reach 0
    assert above == np.mean(lowest)
    assert "staircase" in report.spread.tested["act"].title and report.measured == {} and report.confusion is None


def test_a_trained_network_on_labelled_images(digits: Path, measured: Any, page: Path) -> None:
    found, network = measured.json, api.load(digits)
    assert page == digits.with_suffix(".html") and found["images"]["count"] == 60 and found["images"]["labels"]
    from spikeloom.quant.images import images

    some = images("digits", "test", count=60, bits=4)
    classes = golden.run(network, some.pixels, keep=()).classes
    assert some.labels is not None
    assert found["accuracy"]["measured"] == {"integers": float((classes == some.labels).mean())}
    assert found["accuracy"]["over_time"][-1] == found["accuracy"]["measured"]["integers"]
    assert found["accuracy"]["recorded"] == json.loads(network.meta["accuracy"])
    pairs = Counter(zip(some.labels.tolist(), classes.tolist(), strict=True))
    assert {(a, b): n for a, row in enumerate(found["confusion"]) for b, n in enumerate(row) if n} == pairs
    text = page.read_text(encoding="utf-8")
    for words in ("98.74 %", f"{100 * found['accuracy']['measured']['integers']:.2f} %", "after t time steps",
                  "weights of conv1", "membrane in every step", network.hash, "1,152 of 4 bits"):  # fmt: skip
        assert words in text, words
    assert not re.findall(r'src="(?!data:)|<link|@import|<script|href="(?!#|data:)', text)
    sections = dict(re.findall(r'<section id="(\w+)"[^>]*>(.*?)</section>', text, re.DOTALL))
    assert set(sections) == {*SECTIONS, "confusion"} and sections["graph"].count("<g ") == len(network.nodes)
    assert len(text) < 300_000 and "&lt;" not in sections["graph"]


def test_without_images_it_says_so_and_is_the_same_every_time(digits: Path, cli: Any, tmp_path: Path) -> None:
    ran = cli("report", digits, "-o", tmp_path / "page.html", "--json")
    first, second = ran.json, api.report(digits).figures()
    assert first.pop("report") == str(tmp_path / "page.html")
    images = {"name": "random images", "count": 64, "labels": False, "random": True}
    assert first == second and first["images"] == images
    assert "no images were given (--test)" in ran.err and first["confusion"] is None
    assert first["accuracy"]["measured"] == {} and first["accuracy"]["recorded"]["causal"] == 0.979849
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "those of random ones" in text and "64 random images, seeded" in text and 'id="confusion"' not in text


def test_a_design_has_folds_and_what_was_built_of_it(design: Path, network: Network, cli: Any, tmp_path: Path) -> None:
    outer = tmp_path / "built"
    shutil.copytree(design, outer / "design")
    board = {"board": "toy-<1>", "part": "P1", "network": network.hash, "used": {"LUT": {"used": 12, "available": 96}}}
    (outer / "report.json").write_text(json.dumps(board))
    (outer / "other").mkdir()
    (outer / "other" / "report.json").write_text(json.dumps(board | {"network": "0" * 64}))
    ran = cli("report", outer, "--json")
    contents = json.loads((design / "design.json").read_text())
    assert ran.status == 0, ran.err
    assert ran.json["design"]["folds"] == contents["folds"] and ran.json["design"]["boards"] == [board]
    assert ran.json["design"]["interval_cycles"] == contents["predicted"]["interval_cycles"]
    assert "other/report.json is not shown: it was built of another network" in ran.err
    text = (outer / "network.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="(\w+)"[^>]*>(.*?)</section>', text, re.DOTALL))
    assert {"folds", "timeline", "area"} <= set(sections) and "toy-&lt;1&gt;, P1" in sections["area"]
    assert "12 %" in sections["area"] and f"{contents['predicted']['latency_cycles']:,}" in sections["summary"]
    alone = cli("report", design, "-o", tmp_path / "alone.html", "--json").json
    assert alone["hash"] == network.hash and alone["design"]["boards"] == []


def test_what_a_conversion_found_is_kept_and_measured_again(folder: Folder) -> None:
    ran = folder("--weights", "net.pt", "--calibrate", folder.npz(), "--mean", 0.4, "--std", 0.25, *SPIKING, "--json")
    made, file = ran.json, folder.path / "out" / "net.safetensors"
    kept = folder.cli("report", file, "--json").json
    assert kept["accuracy"]["recorded"] == {k: round(v, 6) for k, v in made["accuracy"].items()}
    assert [x["name"] for x in kept["layers"]] == ["relu"] and folder.network.meta["tested"] == "60 of frames.npz"
    assert kept["layers"][0]["decibels"] == pytest.approx(made["layers"][0]["decibels"], abs=1e-4)
    again = folder.cli("report", file, "--test", folder.npz(), "--model", f"{folder.path / 'net.py'}:Net", "--weights",
                       "net.pt", "--json")  # fmt: skip
    assert again.status == 0, again.err
    assert again.json["accuracy"]["measured"] == made["accuracy"] and again.json["agreement"] == made["agreement"]
    assert again.json["layers"] == made["layers"]
    text = file.with_suffix(".html").read_text(encoding="utf-8")
    assert "(0..1 - mean) / std, mean 0.4, std 0.25" in text and 'id="errors"' in text
    assert text.count("signal to noise</th>") == 2 and "As the network keeps it of its conversion" in text
    wrong = folder.cli("report", file, "--test", folder.npz(), "--model", f"{folder.path / 'net.py'}:Net", "--weights",
                       "net.pt", "--mean", 0, "--std", 1, "--json")  # fmt: skip
    assert wrong.json["layers"] != made["layers"]
    found = spikeloom.report(folder.network, test=folder.images(), model=folder.module)
    assert found.floats is not None and found.floats.accuracy == made["accuracy"]
    assert folder.network.hash == made["hash"]


def test_damaged_input(folder: Folder, network_file: Path, network: Network, design: Path) -> None:
    cli, out = folder.cli, ("-o", folder.path / "page.html")
    cut = folder.path / "cut.safetensors"
    cut.write_bytes(network_file.read_bytes()[:-100])
    cli("report", cut, *out).refused("cut.safetensors", "truncated")
    cli("report", folder.path / "none.safetensors", *out).refused("none.safetensors: no such file or folder")
    cli("report", folder.path, *out).refused("not a generated design", "spikeloom generate")
    broken = folder.path / "broken"
    shutil.copytree(design, broken)
    (broken / "design.json").write_text("{}")
    cli("report", broken, *out).refused("design.json", "format")
    frames = folder.npz()
    for data, words in (("nope.npz", "no such file"), (frames, "takes 1x8x8, pixels 0..15"), ("digit", "digits")):
        cli("report", network_file, "--test", data, *out).refused(words)
    labels = folder.npz("labels.npz", frames=np.full((60, 1, 8, 8), 15), labels=np.full(60, 11), high=np.array(15))
    cli("report", network_file, "--test", labels, *out).refused("label 11 of image 0 is no class")
    own = f"{folder.path / 'net.py'}:ready"
    cli("report", network_file, "--weights", "net.pt", *out).refused("of a float model", "--model")
    cli("report", network_file, "--model", f"{folder.path / 'net.py'}:Nat", *out).refused("is 'Net' meant?")
    folder("--weights", "net.pt", "--calibrate", folder.npz(), *SPIKING)
    file = folder.path / "out" / "net.safetensors"
    cli("report", file, "--model", own, "--arg", "classes=3", *out).refused("is a module already")
    (folder.path / "five.py").write_text("from net import Net\nfive = Net(5)\n")
    five = f"{folder.path / 'five.py'}:five"
    cli("report", file, "--model", five, *out).refused("has 5 classes, but the network 3")
    odd = replace(folder.network, meta=folder.network.meta | {"sees": "blue"})
    netfile.save(odd, folder.path / "odd.safetensors")
    cli("report", folder.path / "odd.safetensors", "--model", own, *out).refused("says 'blue'", "--pixel-range")
    assert not (folder.path / "page.html").exists()
    assert cli("report", network_file, "-n", 3, *out).status == 2


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("accuracy", "{", "accuracy is no JSON"),
        ("accuracy", '{"float": 97}', "must be shares in 0..1, not 97"),
        ("accuracy", '["float"]', "accuracy must be a table"),
        ("layers", '[{"name": "a"}]', "layers[0]: key 'decibels' is missing"),
        ("layers", '[{"name": "a", "decibels": NaN}]', "NaN is no number"),
        ("layers", '[{"name": "a", "decibels": -1e9}]', "decibels must be a finite number"),
    ],
)
def test_texts_of_a_network_that_are_not_what_a_conversion_writes(
    network: Network, key: str, text: str, words: str
) -> None:
    (note,) = read(replace(network, meta={key: text})).notes
    assert "what the network says of its making is not shown: meta: " in note and words in note


def test_such_texts_are_named_on_the_page(network: Network, cli: Any, tmp_path: Path) -> None:
    netfile.save(replace(network, meta={"accuracy": "{", "title": "<b>"}), tmp_path / "odd.safetensors")
    ran = cli("report", tmp_path / "odd.safetensors")
    assert ran.status == 0 and "is not shown: meta: accuracy is no JSON" in ran.err
    page = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert "is not shown" in page and "<b></dd>" not in page and "&lt;b&gt;" in page


def three_heads() -> Network:
    """Three layers that take the same values, and give three answers behind them all."""
    weight = np.eye(4, dtype=int)
    layers = [Linear(name=name, source="flat", weight=weight, weight_bits=2) for name in "abc"]
    heads = [Readout(name=f"out {name}", source=name, bias=[0] * 4) for name in "abc"]
    begin = Input(name="input", shape=(1, 2, 2), high=7), Flatten(name="flat", source="input")
    return Network((*begin, *layers, *heads), 1)


@pytest.mark.parametrize("network", [three_heads(), netfile.load(MODELS / "cifar-resnet20-t2w4.safetensors")],
                         ids=["heads", "resnet"])  # fmt: skip
def test_lines_of_a_graph_pass_beside_the_boxes(network: Network) -> None:
    from spikeloom.reports.graph import graph, rows

    placed, taken = rows(network), 0
    for row in placed:
        passing = list(row.after.values())
        assert row.column not in passing and len(set(passing)) == len(passing)
        assert set(row.node.sources) <= set(row.before)
        taken += len(set(row.node.sources))
    assert taken == sum(len(takers) for takers in network.takers.values())
    assert {row.column for row in placed if row.node.activation} <= {0}
    assert str(graph(network)).count("<rect") == len(network.nodes)


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_a_browser_shows_it_whole_on_any_screen(page: Path) -> None:
    assert check_page(page, (*SECTIONS, "confusion"), ("graph", "confusion", "spikes", "histograms")) == []
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 390, "height": 844})
        window.goto(page.as_uri())
        assert window.evaluate("document.documentElement.scrollWidth") == 390
        for scheme in ("light", "dark"):
            window.emulate_media(color_scheme=scheme)
            ink, paper = window.evaluate("[getComputedStyle(document.querySelector('.graph text')).fill, "
                                         "getComputedStyle(document.body).backgroundColor]")  # fmt: skip
            light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
            assert abs(light[0] - light[1]) > 300 and (light[0] < light[1]) == (scheme == "light")
        browser.close()
