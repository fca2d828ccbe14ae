"""Seeded fuzz inputs: each is read, or refused with an error that is meant for the user, within limits.

A test file describes its formats and has two tests for each::

    FORMATS = {"folds": Format(write, read)}

    def test_a_few_inputs() -> None:
        few(FORMATS["folds"])

    @pytest.mark.slow
    def test_many_inputs() -> None:
        many(__file__, "folds")

``few`` tries some in this process; ``many`` tries 500 in a process of its own, so that a hang or a crash is that
process's, and names the seed. ``python tests/fuzz/fuzzing.py FILE NAME SEED`` tries one and shows its traceback.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeloom.console import explain

__all__ = ["FEW", "GIB", "MANY", "SECONDS", "Format", "Tried", "changed", "few", "kept_folder", "many", "mixed",
           "nested", "places", "try_seed"]

FEW, MANY = 40, 500
"""Inputs a format, of ``make test`` and of ``make regress``."""

SECONDS, GIB = 5.0, 1 << 30
"""What an input may take: seconds, and bytes of memory beyond those before it."""

LONGEST = 4_000
"""Characters of a message that a person may still read."""

ODD_NUMBERS = (0, -1, 1, 2, 255, 256, 65_535, -(2**31), 2**31, 2**32, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, *ODD_NUMBERS, 0.5, -0.0, 1e300, float("nan"), float("inf"), "", "x", "o 2", "../x", "\0",
    "é" * 300, [], {}, [1], ["a"], {"a": 1}, [[]], "1", 10**400,
)  # fmt: skip
ODD_BYTES = (b"", b"\0", b"\xff" * 4, b"\x80", b"\n", b"[[", b'"', b"{", b"=", b"nan", b"1e999", b"-", b"\xef\xbb\xbf")


@dataclass(frozen=True)
class Format:
    """A format of files or messages.

    Attributes: ``write``, called as write(rng, folder) with an empty folder: makes an input from random numbers alone
    and returns what ``read`` takes; ``read``, the code under test, from the input to whatever uses all of it;
    ``clear``, whether an error is one that is meant for the user; ``seconds``, what an input may take.
    """

    write: Callable[[np.random.Generator, Path], Any]
    read: Callable[[Any], object]
    clear: Callable[[BaseException], bool] = lambda error: explain(error) is not None
    seconds: float = SECONDS


@dataclass(frozen=True)
class Tried:
    """An input: its ``seed``, the ``error`` it was refused with ("" where it was read), ``seconds`` and ``bytes`` that
    took, whether it was ``late``, and the ``trace`` of an error that is not clear."""

    seed: int
    error: str
    seconds: float
    bytes: int
    late: bool = False
    trace: str = ""

    @property
    def good(self) -> bool:
        """Whether all was within the limits."""
        return not self.trace and not self.late and self.bytes <= GIB and len(self.error) <= LONGEST


def try_seed(format: Format, seed: int) -> Tried:
    """Make the input ``seed``, and read it."""
    with tempfile.TemporaryDirectory(prefix="spikeloom-fuzz-") as name:
        given = format.write(np.random.default_rng(seed), Path(name))
        before, start, error, trace = _begin_peak(), time.perf_counter(), "", ""
        try:
            format.read(given)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
            if not format.clear(raised) or not str(raised).strip():
                trace = "".join(traceback.format_exception(raised))[-LONGEST:]
        seconds = time.perf_counter() - start
        return Tried(seed, error, seconds, max(0, _peak() - before), seconds > format.seconds, trace)


def few(format: Format, count: int = FEW) -> list[Tried]:
    """Try inputs 0 to ``count`` in this process; asserts that all are good, and that some were read, some refused."""
    return _judged([try_seed(format, seed) for seed in range(count)])


def many(file: str, name: str, count: int = MANY) -> list[Tried]:
    """Try the inputs of ``FORMATS[name]`` in ``file``, in a process of their own with a limit of memory."""
    command = [sys.executable, __file__, file, name, "0", str(count)]
    # Python's time limit would take the reason with it: the process says what it begins, and ends what hangs itself.
    done = subprocess.run(command, capture_output=True, text=True, timeout=3_600, check=False)
    tried = [Tried(**json.loads(line)) for line in done.stdout.splitlines()]
    assert not done.returncode, f"seed {len(tried)}: status {done.returncode}, {done.stderr[-LONGEST:]}"
    assert len(tried) == count
    return _judged(tried)


def changed(rng: np.random.Generator, data: bytes) -> bytes:
    """``data`` with a few changes of bytes: bits flipped, parts cut out, doubled, inserted, moved, or its end lost."""
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        stop = min(len(data), at + int(rng.geometric(0.1)))
        match int(rng.integers(7)):
            case 0 if at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
            case 1:
                data = data[:at] + data[stop:]
            case 2:
                data = data[:stop] + data[at:]
            case 3:
                data = data[:at] + ODD_BYTES[int(rng.integers(len(ODD_BYTES)))] + data[at:]
            case 4:
                data = data[:at] + rng.integers(0, 256, stop - at).astype("u1").tobytes() + data[stop:]
            case 5:
                data = data[:at]
            case _:  # a number in a text becomes another one
                numbers = list(re.finditer(rb"\d+", data))
                if numbers:
                    found = numbers[int(rng.integers(len(numbers)))]
                    other = str(ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]).encode()
                    data = data[: found.start()] + other + data[found.end() :]
    return data


def mixed(rng: np.random.Generator, value: Any, changes: int | None = None) -> Any:
    """A copy of a JSON ``value`` with a few of its parts replaced by odd values, left out, doubled or renamed."""
    value = json.loads(json.dumps(value))
    for _ in range(int(rng.integers(1, 4)) if changes is None else changes):
        all_places = list(places(value))
        if not all_places:
            return value
        # By depth first, so that a long list does not take all changes.
        depths = sorted({len(path) for path, _, _ in all_places})
        depth = depths[int(rng.integers(len(depths)))]
        _, holder, key = (found := [p for p in all_places if len(p[0]) == depth])[int(rng.integers(len(found)))]
        odd = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
        match int(rng.integers(6)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 1:
                holder[key[:-1] or "x"] = holder.pop(key)
            case 2:
                holder[key] = [holder[key]]
            case _:
                holder[key] = odd
    return value


def nested(rng: np.random.Generator, opening: str, closing: str) -> str:
    """``opening`` and ``closing`` around each other, up to a million deep."""
    depth = int(10 ** rng.uniform(0, 6))
    return opening * depth + closing * depth


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """All parts of tables and lists within each other: their path, what holds them, and the key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key), value, key
        yield from places(part, (*path, key))


def kept_folder() -> Path:
    """A folder for what all inputs are made of; it goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="spikeloom-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _judged(tried: Sequence[Tried]) -> list[Tried]:
    bad = [each for each in tried if not each.good]
    shown = "\n".join(
        f"seed {each.seed}: {each.seconds:.1f} s, {each.bytes >> 20} MiB, {each.error[:300]}\n{each.trace}"
        for each in bad[:3]
    )
    assert not bad, f"{len(bad)} of {len(tried)} inputs (seeds {[each.seed for each in bad]}):\n{shown}"
    # An input that is always read, or never, tests little.
    refused = sum(bool(each.error) for each in tried)
    assert refused, "no input was refused"
    return list(tried)


def _status(key: str) -> int:
    found = re.search(rf"^{key}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def _begin_peak() -> int:
    """Begin a new peak of resident memory where the system can; the memory now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return _peak()


def _peak() -> int:
    try:
        return _status("VmHWM")
    except OSError:  # no Linux: the peak of all time, so that a growth is seen once
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def _main(file: str, name: str, first: int, count: int) -> None:
    """Try the inputs and print each as a line of JSON."""
    import faulthandler

    tests = Path(__file__).parent.parent
    sys.path[:0] = [str(Path(file).parent), str(tests), str(tests / "quant")]
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    format: Format = module.FORMATS[name]
    if count == 1:
        with tempfile.TemporaryDirectory(prefix="spikeloom-fuzz-") as folder:
            format.read(format.write(np.random.default_rng(first), Path(folder)))
        return
    # What is imported at the first input counts for none; then a bomb cannot take the machine's memory.
    try_seed(format, 0)
    limit = _status("VmSize") + 3 * GIB if sys.platform == "linux" else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for seed in range(first, first + count):
        faulthandler.dump_traceback_later(10 * format.seconds, exit=True)
        sys.stdout.write(json.dumps(asdict(try_seed(format, seed))) + "\n")
        sys.stdout.flush()
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1)
