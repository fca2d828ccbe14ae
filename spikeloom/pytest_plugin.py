"""A pytest plugin: a repository verifies its network, or its generated design, again with every commit.

    def test_my_network(spikeloom_verify):
        spikeloom_verify("net.safetensors", data="frames.npz", n=20, fold="fold.toml")

``--junitxml`` carries what was covered as properties. Where the design differs from its prediction, the message shows
the transfers around the first difference, and names a waveform of the cycles around it. A line at the end of the run
says what frames did not reach, test by test; ``min_reach`` makes a test of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np

    from .sim.reach import DesignReach
    from .sim.verify import Outcome

__all__ = ["SpikeloomVerify", "spikeloom_verify"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the waveforms go."""
    text = "folder for the waveforms of spikeloom_verify (default: the test's tmp_path)"
    parser.addini("spikeloom_waves", text, default="")
    parser.getgroup("spikeloom").addoption("--spikeloom-waves", metavar="DIR", help=text)


_UNREACHED = "spikeloom_unreached"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each verification whose frames left something out; properties come from other processes too."""
    reports = [r for found in terminalreporter.stats.values() for r in found if getattr(r, "when", "") == "call"]
    lines = [f"{r.nodeid}: {value}" for r in reports for key, value in r.user_properties if key == _UNREACHED]
    if lines:
        terminalreporter.section("spikeloom: not reached by the frames", sep="-")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def spikeloom_verify(request: pytest.FixtureRequest, tmp_path: Path) -> SpikeloomVerify:
    """Verify a network or a design; see :class:`SpikeloomVerify`."""
    return SpikeloomVerify(request, tmp_path)


class SpikeloomVerify:
    """What the fixture gives to a test: call it, as often as wanted."""

    def __init__(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        self._node, self._config, self._tmp = request.node, request.config, tmp_path
        self._calls = 0

    def __call__(
        self,
        subject: str | Path,
        *,
        data: str | np.ndarray,
        n: int = 20,
        fold: str | Path | Mapping[str, Any] = "auto",
        cycles: int | None = None,
        min_reach: float = 0.0,
        **options: Any,
    ) -> Outcome:
        """Simulate ``n`` frames of ``data``, compare every word of every cycle, and fail the test on a difference.

        Parameters: ``subject``, a network file, from which a design is generated (``fold``, ``cycles`` as in
        ``spikeloom.api.generate``), or the folder of a design that was generated before, which is verified as it lies
        there; ``data``, as in ``spikeloom.api.frames``, or frames (N, C, H, W); ``min_reach``, the share (0..1) of the
        branches that the frames must take; ``options`` of ``spikeloom.sim.verify.verify``: ``simulator``, ``pauses``,
        ``resets``, ``seed``, ``jobs``, ``netlist``, ``reach``, ``allow_edited``.
        Paths are those of the repository (pytest's rootdir). Returns the outcome.
        """
        from . import api
        from .console import as_text
        from .gen.emit.writer import read
        from .junit import properties
        from .sim.show import without_headline
        from .sim.verify import verify

        root = self._config.rootpath
        self._calls += 1
        path = root / subject
        work = self._tmp / f"spikeloom-{self._calls}"
        if path.is_dir():
            design, contents = read(path)
            folder = path
        else:
            folder = work / "design"
            place = root / fold if isinstance(fold, str | Path) and fold != "auto" else fold
            design, contents = api.generate(api.load(path), folder, fold=place, cycles=cycles)
        if isinstance(data, str):
            if data.endswith(".npz") or (root / data).is_dir():
                data = str(root / data)
            pixels = api.frames(design.network, data, n, more=True).pixels
        else:
            pixels = design.network.check_frames(data)[:n]
        waves = self._waves() if options.get("simulator", "verilator") == "verilator" else None
        outcome = verify(design, contents, folder, pixels, work=work / "sim", waves=waves, **options)
        for key, value in properties(outcome).items():
            self._record(f"spikeloom_{key}", value)
        if not outcome.equal:
            self._fail(subject, outcome, as_text(without_headline(outcome.picture)))
        if not outcome.passed:
            rule = f"{subject} is not as generated; generate it again, or let it pass with allow_edited"
            pytest.fail("\n".join([rule, *outcome.edits]), pytrace=False)
        if outcome.reach is not None:
            self._reached(subject, outcome.reach, min_reach)
        return outcome

    def _reached(self, subject: str | Path, reach: DesignReach, least: float) -> None:
        from .sim.reach import TAKEN

        share, missed = reach.share(TAKEN), reach.warnings()
        text = f"{reach.frames} frames took {100 * share:.2f} % of the branches"
        if missed:
            more = f" (and {len(missed) - 1} more warnings)" if len(missed) > 1 else ""
            self._record(_UNREACHED, f"{text}; {missed[0]}{more}")
        if share < least:
            lines = "\n".join(reach.warnings(TAKEN))
            pytest.fail(f"{subject}: {text}, fewer than min_reach = {100 * least:g} %; more frames reach more\n{lines}",
                        pytrace=False)

    def _record(self, name: str, value: object) -> None:
        """A property of the test in the JUnit report, of either family. The fixture ``record_property`` does the same,
        but warns where the family is xunit2, and so fails under ``-W error``."""
        self._node.user_properties.append((name, value))

    def _waves(self) -> Path:
        given = self._config.getoption("--spikeloom-waves") or self._config.getini("spikeloom_waves")
        folder = self._config.rootpath / given if given else self._tmp
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", self._node.nodeid).strip("-")
        return folder / f"{name}-{self._calls}.vcd"

    def _fail(self, subject: str | Path, outcome: Outcome, picture: str) -> None:
        lines = [f"{subject} differs from its prediction: {outcome.differences[0]}", picture]
        lines += [f"also: {difference}" for difference in outcome.differences[1:]]
        if outcome.view:
            self._record("spikeloom_waves", str(outcome.view.waves))
            lines += [f"waveform: {outcome.view.waves}", *outcome.view.commands]
        lines += [f"not as generated: {edit}" for edit in outcome.edits]
        if outcome.wave_error:
            lines.append(outcome.wave_error)
        pytest.fail("\n".join(lines), pytrace=False)
