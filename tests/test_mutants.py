"""The tool that makes mutants: what it changes, that it is imported so, and that a mutant that hangs is ended."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.mutants import hook
from tests.mutants.child import Child
from tests.mutants.choice import choose, shares
from tests.mutants.coverage import stale
from tests.mutants.operators import mutated, mutations
from tests.mutants.results import Result, Store
from tests.mutants.table import ELSEWHERE, GROUPS, equivalents

SOURCE = '''"""A text of 1 word."""
from __future__ import annotations

LIMIT: int = 3


def f(a: int, b: bool = True) -> int:
    """Return 1."""
    if a < LIMIT and not b:
        raise ValueError(f"{a - 1} is not {LIMIT + 1}")
    for k in range(a):
        a += min(k, 2 * b)
    return a if b else -a


class Core:
    """A core."""

    def elaborate(self, m, x):
        """Gates."""
        m.d.sync += [x.eq(1), x.next.eq(x)]
        with m.If(x == 4):
            m.d.comb += x.eq(0)
        return m
'''
EXPECTED = {
    "module: 3 -> 4",
    "module: True -> False",
    "f: if a < LIMIT and (not b) -> if not a < LIMIT and (not b)",
    "f: a < LIMIT and (not b) -> a < LIMIT or not b",
    "f: a < LIMIT -> a <= LIMIT",
    "f: not b -> b",
    "f: raise ValueError(f'{a - 1} is not {LIMIT + 1}') -> pass",
    "f: range(a) -> range(a - 1)",
    "f: a += min(k, 2 * b) -> pass",
    "f: min(k, 2 * b) -> max(k, 2 * b)",
    "f: 2 * b -> 2 // b",
    "f: 2 * b -> 1 * b",
    "f: a if b else -a -> -a if b else a",
    "f: -a -> a",
    "Core.elaborate: x.eq(1) -> nothing",
    "Core.elaborate: x.eq(1) -> x.eq(2)",
    "Core.elaborate: x.next.eq(x) -> nothing",
    "Core.elaborate: m.If(x == 4) -> m.If((x == 4) == 0)",
    "Core.elaborate: x == 4 -> x != 4",
    "Core.elaborate: x == 4 -> x == 3",
    "Core.elaborate: m.d.comb += x.eq(0) -> pass",
    "Core.elaborate: x.eq(0) -> x.eq(1)",
}


def test_what_is_mutated() -> None:
    found = mutations(SOURCE)
    assert {m.name for m in found} == EXPECTED and len(found) == len(EXPECTED)
    plain = ast.unparse(ast.parse(SOURCE))
    trees = [mutated(SOURCE, m.index) for m in found]
    texts = {ast.unparse(tree) for tree in trees}
    assert plain not in texts and len(texts) == len(found)
    for tree in trees:
        compile(tree, "source", "exec")
    lines = SOURCE.splitlines()
    assert all(m.statement == 0 or lines[m.statement - 1] for m in found)
    assert {m.name for m in found if not m.statement} == {"module: 3 -> 4", "module: True -> False"}


def test_a_name_outlives_other_lines() -> None:
    moved = SOURCE.replace("class Core:", "def g(a):\n    return a + 1\n\n\nclass Core:")
    assert {m.name for m in mutations(SOURCE)} < {m.name for m in mutations(moved)}


def test_a_mutant_is_imported_here_and_in_processes_started_from_here() -> None:
    source = (hook.ROOT / "hdl" / "streams" / "words.py").read_text()
    mutation = next(m for m in mutations(source) if m.where == "WordFormat.limbs")
    show = "from spikeloom.hdl.streams.words import WordFormat; print(WordFormat(1, 1, 0, 1).limbs)"
    # As cocotb does inside a simulator, with a finder of its own for the modules of its tests.
    inside = f"from cocotb.regression import RegressionManager as r; r.setup_pytest_assertion_rewriting(); {show}"
    program = (
        "import subprocess, sys; from tests.mutants import hook\n"
        f"hook.install('hdl/streams/words.py', {mutation.index})\n"
        f"{show}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', {show!r}], check=True)\n"
        f"subprocess.run([sys.executable, '-c', {inside!r}], check=True)"
    )
    done = [
        subprocess.run([sys.executable, "-c", text], cwd=hook.ROOT, capture_output=True, text=True, check=True).stdout
        for text in (show, program)
    ]
    plain = done[0].split()
    assert plain == ["1"] and len(set(done[1].split())) == 1 and done[1].split()[0] != "1", mutation.name
    assert len(done[1].split()) == 3


def test_choice_is_spread_and_repeatable() -> None:
    files = ["hdl/streams/counter.py", "hdl/streams/pipe.py", "hdl/cores/serialiser/core.py"]
    chosen = choose(files, 20, 0)
    assert len({str(mutant) for mutant in chosen}) == len(chosen) == 20
    assert chosen == choose(files, 20, 0) != choose(files, 20, 1)
    assert shares({"a": 10, "b": 5, "c": 0}, 3) == {"a": 2, "b": 1, "c": 0}
    assert shares({"a": 1, "b": 1}, 9) == {"a": 1, "b": 1}


@pytest.mark.parametrize("group", GROUPS)
def test_sources_and_tests_of_a_group_are_there(group: str) -> None:
    assert GROUPS[group].files() and all(list(hook.ROOT.glob(pattern)) for pattern in GROUPS[group].tests)


def test_what_runs_inside_a_simulator_needs_the_tests_that_start_it_alone(tmp_path: Path) -> None:
    for source, names in ELSEWHERE.items():
        for name in names:
            file, _, test = name.partition("::")
            assert f"def {test.partition('[')[0]}(" in (hook.ROOT / file).read_text()
        files = {name.partition("::")[0] for name in names}
        assert set(stale("sim", tmp_path / "none", [source])) == files
        assert set(stale("sim", tmp_path / "none", [source, "sim/pool.py"])) > files


def test_what_is_argued_is_there_and_has_words() -> None:
    assert all(len(reason.split()) > 3 for reason in equivalents().values())
    names = {file: {m.name for m in mutations((hook.ROOT / file).read_text())}
             for file, _ in equivalents() if file.endswith(".py")}  # fmt: skip
    assert [(file, name) for file, name in equivalents() if file in names and name not in names[file]] == []


def test_results_are_kept(tmp_path: Path) -> None:
    (mutant,) = choose(["hdl/streams/counter.py"], 1, 0)
    result = Result(mutant.file, mutant.mutation.name, 1, mutant.source, "killed")
    path = tmp_path / "results.jsonl"
    Store(path).add(result)
    with path.open("a") as file:
        file.write('{"file": "hdl/cou')
    assert Store(path).get(mutant) == result


def ended(child: Child) -> int:
    while (status := child.ended()) is None:
        time.sleep(0.01)
    return status


def test_a_mutant_that_hangs_is_ended_with_all_that_it_started() -> None:
    def hang(folder: Path) -> int:
        started = subprocess.Popen(["sleep", "60"])
        (folder / "pid").write_text(str(started.pid))
        time.sleep(60)
        return 0

    child = Child(hang, limit=0.3).begin()
    try:
        assert ended(child) == -signal.SIGKILL
        started = int((child.folder / "pid").read_text())
        for _ in range(100):
            state = Path(f"/proc/{started}/stat")
            if not state.exists() or state.read_text().split()[2] == "Z":
                break
            time.sleep(0.02)
        else:
            os.kill(started, signal.SIGKILL)
            raise AssertionError("what it started runs on")
    finally:
        child.close()
    assert not child.folder.exists()


def test_a_mutant_that_eats_memory_is_ended() -> None:
    def eat(folder: Path) -> int:
        return len(bytearray(8 << 30))

    child = Child(eat, limit=60).begin()
    try:
        assert ended(child) == 1 and "MemoryError" in child.output()
    finally:
        child.close()
