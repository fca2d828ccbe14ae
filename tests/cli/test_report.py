"""The report: self-contained, the same bytes each time, complete in a real browser; and the demo that writes it."""

import re
from pathlib import Path

import pytest

import spikeloom
from spikeloom.browser import _missing, find_browser
from spikeloom.demo import Check, run
from spikeloom.gen.emit.writer import read
from spikeloom.quant import golden
from spikeloom.reports import verified as report
from spikeloom.sim.predict import readout


@pytest.fixture(scope="module")
def findings(design, network) -> report.Findings:
    images = spikeloom.frames(network, "digits", 1)
    made, contents = read(design)
    verification = [
        {
            "simulator": "verilator",
            "passed": False,
            "frames": 300,
            "pauses": 0.3,
            "boundaries": 4,
            "transfers": 1234567,
            "cycles": 7654321,
            "cycles_per_second": 400000,
            "differences": ["frame 0, <i>conv</i>, cycle 7"],
        }
    ]
    return report.Findings(
        title="A <tiny> network",
        design=made,
        contents=contents,
        image=images.pixels[0],
        label=6,
        accuracy={"float": 0.98741, "causal": 0.9},
        lost={"causal": 0.08741},
        verification=verification,
        area={"ECP5": {"lut4_eq": 1234, "ff": 55}},
        seconds={"training": 3.21},
        commands=["spikeloom verify here"],
        links={"folder": "design/"},
        date="2026-11-29T04:50:12+00:00",
        problems=["verilator: it differs"],
    )


@pytest.fixture(scope="module")
def page(findings, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    report.write(path, findings)
    return path


def test_holds_what_was_found(page):
    text = page.read_text(encoding="utf-8")
    for found in (
        "A &lt;tiny&gt; network",
        "98.74 %",
        "+8.74",
        "1,234,567",
        "7,654,321",
        "differs",
        "1,234",
        "frame 0, &lt;i&gt;conv&lt;/i&gt;, cycle 7",
        "verilator: it differs",
        "spikeloom verify here",
        "training 3.2",
        "amaranth 0.5",
        "2026-11-29 04:50 UTC",
        "LUT4 equivalents in all",
        "flip-flops",
    ):
        assert found in text, found
    assert "equal to its prediction" not in text and "lut4_eq" not in text


def test_is_one_file_that_loads_nothing_and_is_reproducible(page, findings):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'src="(?!data:)|<link|@import|<script', text)
    assert re.findall(r'href="(?!#|data:)([^"]*)"', text) == ["design/"]
    assert text == report.render(findings)
    assert len(text) < 500_000 and [p.name for p in page.parent.iterdir()] == ["report.html"]


def test_pictures_show_every_layer_and_stage(page):
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', page.read_text(encoding="utf-8"), re.DOTALL))
    assert tuple(sections) == report.SECTIONS
    assert "fire: 8 neurons" in sections["spikes"] and "input: a 6" in sections["spikes"]
    assert ">conv<" in sections["timeline"] and ">classes<" in sections["timeline"]
    for name in ("spikes", "timeline"):
        assert "currentColor" in sections[name] and "#010203" not in sections[name]
        ids = re.findall(r'\bid="([^"]+)"', sections[name])
        assert ids and all(i.startswith(("raster-", "timeline-")) for i in ids)


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_a_browser_shows_it_whole_and_finds_what_is_missing(page, tmp_path):
    assert report.check_page(page) == []
    text = re.sub(r'<section id="area">.*?</section>', "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.replace("</body>", '<script>console.error("broken")</script></body>')
    (tmp_path / "bad.html").write_text(text, encoding="utf-8")
    problems = report.check_page(tmp_path / "bad.html")
    assert problems is not None and "section 'area' is missing" in problems
    assert any("broken" in problem for problem in problems)


def test_no_browser_is_no_opinion(page, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report.check_page(page) is None


def test_missing_pictures_and_foreign_files_are_found(page):
    text = re.sub(r"<svg.*?</svg>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.replace("<h2>", '<img src="http://example.org/x.png"><h2>', 1)
    assert _missing(text) == [
        "section 'spikes' has no picture",
        "section 'timeline' has no picture",
        "the page loads http://example.org/x.png",
    ]


def test_classes_are_read_from_the_last_word_of_each_frame(design):
    made, _ = read(design)
    images = spikeloom.frames(made.network, "digits", 40)
    words = made.compute(images.pixels)[made.boundaries[-1].name]
    expected = golden.run(made.network, images.pixels).classes
    assert len(set(expected)) > 2 and readout(made).answers(words).tolist() == expected.tolist()
    assert readout(made).answers(words[: len(words) // 2]).tolist() == expected[:20].tolist()


@pytest.mark.slow  # "make demo" does all of it as well
def test_demo_does_everything(tmp_path):
    (tmp_path / "tiny.toml").write_text(
        'data = "digits"\nmodel = "mlp"\nsteps = 2\nweight_bits = 3\n'
        "model_args = {hidden = [4]}\n"
        "epochs = {float = 2, qcfs = 1, integers = 2}\n"
    )
    steps: list[str] = []
    summary = run(
        tmp_path,
        tmp_path / "tiny.toml",
        lambda what, _done, _total: steps.append(what.partition(",")[0]),
        (Check("amaranth", 2, 0.3),),
    )
    assert summary["passed"] and summary["problems"] == []
    assert [(v["simulator"], v["frames"], v["passed"]) for v in summary["verification"]] == [("amaranth", 2, True)]
    assert summary["area"]["lut4_eq"] > 100 and {"training", "report"} <= set(summary["seconds"])
    assert {"float", "qcfs", "integers", "simulation and synthesis", "report"} <= set(steps)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "design",
        "network.safetensors",
        "recipe.toml",
        "report.html",
        "tiny.toml",
    ]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Every word on every stream" in text
    links = re.findall(r'href="(?!#|data:)([^"]*)"', text)
    assert len(links) > 3 and all((tmp_path / link).exists() for link in links), links


@pytest.mark.skipif(find_browser() is None, reason="needs Chromium")
def test_nothing_is_clipped_on_a_phone(page):
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 390, "height": 844})
        window.goto(page.as_uri())
        wide = """[...document.querySelectorAll(".wide, pre")].filter((box) => box.scrollWidth > box.clientWidth + 1)
          .map((box) => box.textContent.slice(0, 40))"""
        assert window.evaluate(wide) == []
        assert window.evaluate("document.documentElement.scrollWidth") == 390
        window.set_viewport_size({"width": 1400, "height": 900})
        boxes = [window.locator(f"#{name}").bounding_box() for name in ("network", "accuracy")]
        assert boxes[0]["y"] == boxes[1]["y"] and boxes[1]["x"] > 700, "two columns fill a wide window"
        browser.close()
