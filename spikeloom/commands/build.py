"""The command that makes a bitstream, or a project for the tools that do: build."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import Step, bars, print_json, print_text, table, writable
from ..gen.targets.boards.table import BOARDS
from .network import JsonOption

__all__ = ["build"]


def _there(source: Path) -> Path:
    """``source``, where there is such a file or folder: that is said before any option that is missing."""
    if not source.exists():
        raise FileNotFoundError(2, "no such file or folder; give a generated design or a network file", str(source))
    return source


def build(source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a generated design, or a network "
                                                                     "file: a design is generated first.",
                                                 is_eager=True, callback=_there)],
          board: Annotated[str, typer.Option(help=f"One of {', '.join(BOARDS)}.")],
          output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write into; DIR/BOARD where "
                                                                             "DIR is a design.")] = None,
          cycles: Annotated[int | None, typer.Option(min=1, help="For a network file: cycles a frame at most.")] = None,
          fold: Annotated[str, typer.Option(help="For a network file: auto, or a TOML file with folds; the rest is "
                                                 "chosen.")] = "auto",
          dsp: Annotated[int | None, typer.Option(min=0, help="For a network file: multipliers that may make products; "
                                                              "else as many as the board says, none.")] = None,
          baud: Annotated[int, typer.Option(min=1200, help="Bits a second of the UART.")] = 1_000_000,
          clock: Annotated[float | None, typer.Option(min=1.0, help="Clock in MHz; else as fast as timing "
                                                                    "allows.")] = None,
          seeds: Annotated[int, typer.Option(min=1, help="Placements for every clock that is tried, until one meets "
                                                         "it.")] = 1,
          jobs: Annotated[int, typer.Option(min=1, help="Placements at once; each takes a processor.")] = 1,
          json: JsonOption = False) -> None:
    """Build a design with a serial port for a board: a bitstream, or the project of the maker of the FPGA."""
    from ..gen.targets.boards.table import board as find
    from ..gen.targets.fpga.bitstream import build as built
    from ..gen.targets.fpga.route import check_tools
    from ..gen.targets.fpga.vendor import project

    target = find(board)
    start = time.perf_counter()
    if source.is_dir():
        given = {"--cycles": cycles is not None, "--fold": fold != "auto", "--dsp": dsp is not None}
        if any(given.values()):
            raise typer.BadParameter("is for a network file; this is a design already",
                                     param_hint=next(option for option, there in given.items() if there))
        output = source / board if output is None else output
    elif output is None:
        raise typer.BadParameter("is needed with a network file", param_hint="--output")
    if seeds > 1 and not target.built:
        raise typer.BadParameter(f"{board}: nothing is placed here, only a project is written", param_hint="--seeds")
    multipliers = target.checked_dsp(dsp)
    check_tools(target)
    writable(output, folder=True)
    with bars() as step:
        design = _design(source, output, target.device, cycles, fold, multipliers, board, step)
        if target.built:
            contents = built(design, target, output, baud=baud, mhz=clock, seeds=seeds, jobs=jobs, progress=step)
        else:
            contents = project(design, target, output, baud=baud, mhz=clock, progress=step)
    contents["seconds"] = round(time.perf_counter() - start, 1)
    if json:
        print_json({"folder": output, **contents})
    elif target.built:
        _show(contents, target.title, output)
    else:
        print_text(f"{target.title}, {target.part}: {contents['statement']}",
                   f"wrote the project into {output}: {', '.join(contents['files'])}",
                   *(f"to build it there: {command}" for command in contents["commands"]),
                   f"to program the board: {contents['program']}")


def _design(source: Path, output: Path, device: str | None, cycles: int | None, fold: str, dsp: int,
            board: str, step: Step) -> Any:
    """The design in folder ``source``, or one made of the network file ``source`` in a folder of ``output``."""
    from .. import api
    from ..gen.emit.writer import read
    from ..gen.targets.boards.table import BoardError

    if source.is_dir():
        return read(source)[0]
    network = api.load(source)
    if device is None and cycles is None and fold == "auto":
        raise BoardError(f"{board}: the search for folds does not know this part; choose --cycles")
    return api.generate(network, output / "design", fold=fold, cycles=cycles, device=device, dsp=dsp,
                        progress=lambda what: step(what, 0, 0))[0]


def _show(contents: dict[str, Any], title: str, output: Path) -> None:
    rows = [(name, f"{use['used']:,}", f"{use['available']:,}", f"{100 * use['used'] / use['available']:.0f} %")
            for name, use in contents["used"].items()]
    clock, timing, file = contents["clock"], contents["timing"], output / contents["bitstream"]
    source = f"the {clock['oscillator_mhz']:g} MHz oscillator"
    print_text(table(f"{title}, {contents['part']}", ("cells", "used", "there are", "share"), rows),
               f"clock {clock['mhz']:g} MHz from {source if clock['pll'] is None else f'the PLL, of {source}'}; timing "
               f"met, nextpnr reached {timing['achieved_mhz']:g} MHz (tries: {len(timing['tries'])})",
               f"UART {contents['baud']:,} baud", f"wrote {file}, {contents['bytes']:,} bytes",
               f"to program the board: {contents['program'].replace(contents['bitstream'], str(file))}",
               f"in {contents['seconds']:.1f} s")
