"""The worst paths of a placed design, by the cores that they start and end in: ``python -m benchmarks.paths mnist``.

nextpnr reports one path. A change that shortens it shows little where ten others are as long. So this reads the delays
of all cells and wires that nextpnr writes (SDF), and gives the worst path of every pair of cores.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from spikeloom.gen.targets.fpga.synth import place

from . import array
from .measure import ARRAY, generate
from .works import WORKS

__all__ = ["Delays", "Group", "main", "table", "worst"]

WORST = 10
"""Paths that are printed."""

NEAR = 0.9
"""Registers are counted whose worst path takes at least this share of the worst path of all."""

_TOKEN = r"((?:\\.|[^\s()\\])+)"
_INSTANCE = re.compile(rf"\(INSTANCE {_TOKEN}\)")
_IOPATH = re.compile(rf"\(IOPATH {_TOKEN} {_TOKEN} \(([\d.:-]+)\) \(([\d.:-]+)\)")
_SETUP = re.compile(rf"\(SETUPHOLD \(\w+ {_TOKEN}\) \(\w+ {_TOKEN}\) \(([\d.:-]+)\)")
_WIRE = re.compile(rf"\(INTERCONNECT {_TOKEN} {_TOKEN} \(([\d.:-]+)\) \(([\d.:-]+)\)")

Pin = tuple[str, str]
"""A cell and its port."""


class Delays:
    """The delays of an SDF file ``text``, in ps.

    Attributes: ``arcs``, from a pin to (pin, delay), through cells and along wires; ``starts``, clock to output of
    registers and memories; ``ends``, setup time of their inputs.
    """

    def __init__(self, text: str) -> None:
        self.arcs: defaultdict[Pin, list[tuple[Pin, float]]] = defaultdict(list)
        self.starts: dict[Pin, float] = {}
        self.ends: dict[Pin, float] = {}
        clocks: set[Pin] = set()
        cell = ""
        for line in text.splitlines():
            if found := _INSTANCE.search(line):
                cell = _plain(found[1])
            elif found := _IOPATH.search(line):
                source, target = (cell, _plain(found[1])), (cell, _plain(found[2]))
                self.arcs[source].append((target, _slowest(found[3], found[4])))
            elif found := _SETUP.search(line):
                pin, clock = (cell, _plain(found[1])), (cell, _plain(found[2]))
                clocks.add(clock)
                self.ends[pin] = max(_slowest(found[3]), self.ends.get(pin, 0.0))
            elif found := _WIRE.search(line):
                self.arcs[_pin(found[1])].append((_pin(found[2]), _slowest(found[3], found[4])))
        for clock in clocks:
            for target, delay in self.arcs.pop(clock, ()):
                self.starts[target] = max(delay, self.starts.get(target, 0.0))


@dataclass(frozen=True)
class Group:
    """The paths from one core to another: ``ps`` of the worst one, setup included; ``start`` and ``end``, its pins;
    ``cells`` that it goes through; ``wires``, ps of them along wires; ``near``, registers of ``to_core`` whose worst
    path comes from ``from_core`` and takes at least :data:`NEAR` of the worst path of the design."""

    from_core: str
    to_core: str
    ps: float
    start: Pin
    end: Pin
    cells: int
    wires: float
    near: int


def worst(delays: Delays) -> list[Group]:
    """The paths of every pair of cores, the slowest pair first. Every register counts with its worst path."""
    waiting: defaultdict[Pin, int] = defaultdict(int)
    for arcs in delays.arcs.values():
        for target, _ in arcs:
            waiting[target] += 1
    arrival, before = dict(delays.starts), {}
    ready = [pin for pin in {*delays.arcs, *delays.starts} if not waiting[pin]]
    while ready:
        pin = ready.pop()
        for target, delay in delays.arcs.get(pin, ()):
            if pin in arrival and arrival[pin] + delay > arrival.get(target, -1.0):
                arrival[target], before[target] = arrival[pin] + delay, pin
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    found = sorted(((arrival[p] + setup, p) for p, setup in delays.ends.items() if p in before), reverse=True)
    pairs: dict[tuple[str, str], list[tuple[float, list[Pin]]]] = defaultdict(list)
    for ps, end in found:
        path = [end]
        while path[-1] in before:
            path.append(before[path[-1]])
        pairs[core(path[-1][0]), core(end[0])].append((ps, path))
    groups = []
    for (from_core, to_core), paths in pairs.items():
        ps, path = paths[0]
        # From the end: a pin and, along a wire, the output that drives it; through a cell; and so on.
        wires = sum(arrival[pin] - arrival[driver] for pin, driver in zip(path[::2], path[1::2], strict=True))
        near = sum(one >= NEAR * found[0][0] for one, _ in paths)
        groups.append(Group(from_core, to_core, ps, path[-1], path[0], len(path) // 2 - 1, wires, near))
    return groups


def table(groups: list[Group]) -> str:
    """The :data:`WORST` slowest of ``groups`` as a table in Markdown."""
    lines = ["| ns | of it wires | cells | registers near | from core | to core | from | to |",
             "|--:|--:|--:|--:|---|---|---|---|"]  # fmt: skip
    for g in groups[:WORST]:
        pins = f"{'/'.join(g.start)} | {'/'.join(g.end)}"
        figures = f"{g.ps / 1e3:.2f} | {g.wires / 1e3:.2f} | {g.cells} | {g.near}"
        lines.append(f"| {figures} | {g.from_core} | {g.to_core} | {pins} |")
    return "\n".join(lines)


def core(cell: str) -> str:
    """The core that ``cell`` is in: its stage and the core's name, or the element between stages. Yosys names a
    register after its signal, which may be called as a part of the stage where it leads to another core."""
    return ".".join(cell.split(".")[:-1][:2]) or "top"


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _pin(name: str) -> Pin:
    cell, _, port = _plain(name).rpartition("/")
    return cell, port


def _slowest(*delays: str) -> float:
    return max(float(value) for delay in delays for value in delay.split(":") if value)


def main(argv: list[str] | None = None) -> None:
    """Place a work and print its worst paths."""
    placed = ["mnist", "array", *(name for name in WORKS if name not in ("mnist", "digits"))]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paths", description="The worst paths of a work.")
    parser.add_argument("work", choices=placed)
    parser.add_argument("--seed", type=int, default=1, help="of nextpnr, the first one")
    parser.add_argument("--seeds", type=int, default=1, help="placements; the paths are those of the fastest")
    parser.add_argument("--jobs", type=int, default=1, help="placements at once")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder, sdf = Path(name), Path(name) / "delays.sdf"
        if options.work == "array":
            contents, on = array.write(folder), ARRAY
        else:
            work = WORKS[options.work]()
            _, subject = generate(work, work.targets[0], folder)
            assert subject.placed is not None
            contents, on = subject.contents, subject.placed
        figures = place(folder, contents, on[0], target=on[1], seed=options.seed, seeds=options.seeds,
                        jobs=options.jobs, sdf=sdf, **on[3])  # fmt: skip
        groups = worst(Delays(sdf.read_text()))
    print(f"{options.work} on LFE5U-{on[0]}, {on[1]} MHz asked for, seed {figures['seed']}: "
          f"{figures['mhz']} MHz;",
          ", ".join(f"{name} {count:,}" for name, count in figures["cells"].items()))  # fmt: skip
    print(table(groups))


if __name__ == "__main__":
    main()
