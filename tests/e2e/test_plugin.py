"""A user's repository: the pytest plugin passes and fails where it should, and leaves report and waveform behind."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import small
from typer.testing import CliRunner

from spikeloom.cli import app
from spikeloom.gen.emit import writer as emit
from spikeloom.quant.ir.netfile import save

TESTS = """
import numpy as np

def test_network(spikeloom_verify):
    outcome = spikeloom_verify("net.safetensors", data="frames.npz", n=6, fold="fold.toml", simulator="amaranth")
    assert len(outcome.answers) == 6

def test_committed_design(spikeloom_verify):
    spikeloom_verify("design", data="frames.npz", n=30)

def test_outdated_frames(spikeloom_verify):
    spikeloom_verify("net.safetensors", data="missing.npz", n=30, simulator="amaranth")

def test_enough_frames(spikeloom_verify):
    dark = np.zeros((2, 1, 2, 2), int)
    spikeloom_verify("net.safetensors", data=dark, fold="fold.toml", simulator="amaranth", min_reach=0.9)
"""

PLUGINS = ["-p", "spikeloom.pytest_plugin", "-p", "no:cacheprovider"]
COMMAND = [sys.executable, "-m", "pytest", *PLUGINS, "-q", "-W", "error"]

FOLDS = "[hidden]\noutputs = 2\ninputs = 1\nsteps = 1\n\n[last]\noutputs = 1\ninputs = 2\nsteps = 1\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A repository whose committed Verilog is not that of its network, after a run of pytest."""
    folder = tmp_path_factory.mktemp("repository")
    save(small.network(), folder / "net.safetensors")
    frames = small.frames(40, high=2)
    frames[20, 0, 1, 0] = 3
    np.savez(folder / "frames.npz", frames=frames)
    (folder / "fold.toml").write_text(FOLDS)
    contents = emit.write(small.design(), folder / "design")
    verilog = folder / "design" / contents["verilog"]
    text = verilog.read_text()
    # A pixel of 3 is taken for 0, and the only one is in frame 20.
    assert text.count("assign b0__payload = i__payload;") == 1
    verilog.write_text(text.replace("b0__payload = i__payload;", "b0__payload = i__payload ^ {2{& i__payload}};"))
    (folder / "test_network.py").write_text(TESTS)
    done = subprocess.run(
        [*COMMAND, "--junitxml=report.xml", "--spikeloom-waves=waves", "--rootdir=."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, done


@pytest.mark.xdist_group("plugin")
def test_one_passes_and_one_fails(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = ran
    assert done.returncode == 1 and "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "design differs from its prediction: frame 20, i, cycle " in done.stdout
    assert done.stdout.partition("short test summary")[0].count("frame 20, i, cycle ") == 1, "said once"
    assert "channel 0, y 1, x 0, step 0: expected 3, got 0" in done.stdout and "Transfers on i" in done.stdout
    assert "surfer --command-file " in done.stdout and "gtkwave " in done.stdout
    assert "missing.npz: no such file" in done.stdout


@pytest.mark.xdist_group("plugin")
def test_what_frames_did_not_reach_is_named(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    assert re.search(r"safetensors: 2 frames took [\d.]+ % of the branches, fewer than min_reach = 90 %", done.stdout)
    text = "hidden: 4 of 4 inputs were always 0 where a weight takes them, so it is not tested"
    head, _, summary = done.stdout.partition("spikeloom: not reached by the frames")
    assert text in head and "test_network.py::test_enough_frames: 2 frames took " in summary
    cases = {case.attrib["name"]: case for case in ET.parse(folder / "report.xml").getroot().iter("testcase")}
    found = {p.attrib["name"]: p.attrib["value"] for p in cases["test_enough_frames"].iter("property")}
    assert 0 < float(found["spikeloom_reach_branches"]) < 0.9 and int(found["spikeloom_reach_warnings"]) > 0


@pytest.mark.xdist_group("plugin")
def test_the_report_says_what_was_covered(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = ran
    cases = {case.attrib["name"]: case for case in ET.parse(folder / "report.xml").getroot().iter("testcase")}
    found = [
        {p.attrib["name"]: p.attrib["value"] for p in cases[name].iter("property")}
        for name in ("test_network", "test_committed_design")
    ]
    for properties, count in zip(found, (6, 30), strict=True):
        assert properties["spikeloom_network_hash"] == small.network().hash
        assert len(properties["spikeloom_classes"].split()) == int(properties["spikeloom_frames"]) == count
        assert int(properties["spikeloom_cycles"]) > 0 and int(properties["spikeloom_transfers"]) > 0
    text = (folder / "design" / "spikeloom_top.v").read_bytes()
    assert found[0]["spikeloom_verilog_sha256"] == "none"  # Amaranth simulates the design itself
    assert found[1]["spikeloom_verilog_sha256"] == hashlib.sha256(text).hexdigest()
    assert found[0]["spikeloom_as_generated"] == "yes"
    assert found[1]["spikeloom_as_generated"].startswith("spikeloom_top.v is not the file that was generated")
    assert cases["test_network"].find("failure") is None
    failure = cases["test_committed_design"].find("failure")
    assert failure is not None and "differs from its prediction" in failure.attrib["message"]
    assert Path(found[1]["spikeloom_waves"]).is_file()


@pytest.mark.slow
@pytest.mark.xdist_group("plugin")
def test_the_older_family_of_reports(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = ran
    options = ["--junitxml=older.xml", "-o", "junit_family=xunit1", "--rootdir=.", "test_network.py::test_network"]
    done = subprocess.run([*COMMAND, *options], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    names = [p.attrib["name"] for p in ET.parse(folder / "older.xml").getroot().iter("property")]
    assert "spikeloom_classes" in names and len(names) == len(set(names))


@pytest.mark.xdist_group("plugin")
def test_the_waveform_holds_the_window(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    (waves,) = (folder / "waves").glob("*.vcd")
    match = re.search(r"frame (\d+), ([\w.]+), cycle (\d+), word", done.stdout)
    assert match
    boundary, cycle = match[2], int(match[3])
    text = waves.read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert cycle > 100 and (times[0], times[-1]) == (10 * (cycle - 50), 10 * (cycle + 21))
    # Every signal that a view shows is in the waveform, and the cursor is at the difference.
    paths, scopes = set(), []
    for line in text.partition("$enddefinitions")[0].splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            paths.add(".".join([*scopes, words[4]]))
    surfer = waves.with_name(waves.name + ".sucl").read_text().splitlines()
    shown = [line.split()[1] for line in surfer if line.startswith("variable_add ")]
    assert len(shown) > 8 and set(shown) <= paths
    assert f"cursor_set {10 * cycle}" in surfer and f"divider_add difference: {boundary}" in surfer
    gtkwave = waves.with_name(waves.name + ".gtkw").read_text()
    assert f' {10 * cycle} -1' in gtkwave and str(waves.resolve()) in gtkwave
    listed = {line.partition("[")[0] for line in gtkwave.splitlines() if "b0__" in line}
    assert listed and listed <= paths


@pytest.mark.xdist_group("plugin")
def test_the_command_reports_the_same(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    match = re.search(r"frame \d+, ([\w.]+), cycle \d+, word.*", done.stdout)
    assert match
    options = ["--junit", str(folder / "cli.xml"), "--waves", str(folder / "cli.vcd")]
    arguments = ["verify", str(folder / "design"), "--data", str(folder / "frames.npz"), "-n", "30", *options]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 1 and match[0] in shown.stderr and "surfer --command-file " in shown.stdout
    (waves,) = (folder / "waves").glob("*.vcd")
    values = [file.read_text().partition("$enddefinitions")[2] for file in (folder / "cli.vcd", waves)]
    assert values[0] == values[1] != ""
    suite = ET.parse(folder / "cli.xml").getroot().find("testsuite")
    assert suite is not None and int(suite.attrib["failures"]) >= 1
    failures = {case.attrib["name"]: case.find("failure") for case in suite.iter("testcase")}
    assert set(failures) == {"files as generated", *(b.name for b in small.design().boundaries)}
    assert failures["files as generated"] is not None
    failure = failures[match[1]]
    assert failure is not None and failure.attrib["message"] == match[0]
    assert f"Transfers on {match[1]}" in (failure.text or "")
