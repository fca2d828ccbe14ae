"""Which tests hold which sources, and which mutants change nothing that could be seen."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .hook import ROOT

__all__ = ["ELSEWHERE", "EQUIVALENT", "GROUPS", "Group", "equivalents", "group_of"]

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Group:
    """Sources, as patterns below the project's folder, and the test files and folders that hold them."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[str]:
        """The sources, sorted."""
        found = {path for pattern in self.sources for path in ROOT.glob(pattern) if path.name != "__init__.py"}
        return sorted(path.relative_to(ROOT).as_posix() for path in found)


GROUPS = {
    "hdl": Group(("hdl/**/*.py",), ("tests/hdl",)),
    "quant": Group(
        ("quant/golden.py", "quant/kernels/*.py", "quant/kernels/rules/*.py", "quant/conversion/rounding.py",
         "quant/training/checkpoint.py"),
        ("tests/quant/test_golden*.py", "tests/quant/test_integers.py", "tests/quant/test_nodes*.py",
         "tests/quant/test_checkpoint.py", "tests/quant/test_reals.py", "tests/quant/test_compiled.py"),
    ),
    "sim": Group(
        ("sim/**/*.py",),
        ("tests/sim", "tests/cli/test_verify.py", "tests/e2e/test_faults.py", "tests/e2e/test_plugin.py",
         "tests/e2e/test_residual.py", "tests/e2e/test_counts.py", "tests/e2e/test_link.py",
         "tests/e2e/test_asic.py", "tests/e2e/test_netlist.py"),
    ),
}


ELSEWHERE = {
    "sim/board/bench.py": ("tests/e2e/test_link.py::test_run_on_a_simulated_board",
                           "tests/e2e/test_link.py::test_the_board_answers_like_the_golden_model",
                           "tests/e2e/test_link.py::test_a_board_that_computes_while_its_line_is_quiet_goes_on",
                           "tests/e2e/test_link.py::test_a_script_is_played_at_its_times"),
    "sim/simulators/cocotb_bench.py": ("tests/sim/test_last.py::test_in_every_simulator[icarus]",
                                       "tests/sim/test_simulators.py::test_cocotb_equals_the_model[icarus",
                                       "tests/sim/test_simulators.py::test_broken_rules_are_seen_by_cocotb"),
}
"""Sources that run inside a simulator, where no marks are seen, with how the names of the tests that run them begin."""


def group_of(file: str) -> str:
    """The group of a source."""
    for name, group in GROUPS.items():
        if file in group.files():
            return name
    raise ValueError(f"{file} is in no group of mutants; they are {', '.join(GROUPS)}")


def equivalents() -> dict[tuple[str, str], str]:
    """Reasons by (file, name of the mutation)."""
    entries = tomllib.loads(EQUIVALENT.read_text()).get("equivalent", [])
    return {(entry["file"], name): entry["reason"] for entry in entries for name in entry["mutations"]}
