"""Commands that work on designs: generate, verify and synth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..console import as_text, bars, note_model, print_json, print_text, table, writable
from .network import JsonOption

__all__ = ["fold_rows", "generate", "outcome_figures", "synth", "verify"]


def fold_rows(contents: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Stage, fold, cycles a frame, utilisation and estimated LUTs, from the contents of ``design.json``."""
    from ..gen.folding.fold import parse_folds

    stages, folds = contents["predicted"]["stages"], parse_folds(contents["folds"], "design.json")
    return [(name, str(folds[name]), f"{stage['cycles']:,}", f"{100 * stage['utilisation']:.1f} %",
             f"{stage['lut4_eq_estimate']:,}") for name, stage in stages.items()]


def generate(network: Annotated[Path, typer.Argument(help="Network file.")],
             output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
             fold: Annotated[str, typer.Option(help="auto, or a TOML file with folds; the rest is chosen.")] = "auto",
             cycles: Annotated[int | None, typer.Option(min=1, help="Target: cycles a frame at most.")] = None,
             device: Annotated[Literal["ecp5-12k", "ecp5-25k", "ecp5-45k", "ecp5-85k"] | None,
                               typer.Option(help="Target: a device to fit; without --cycles, as fast as it "
                                                 "can.")] = None,
             dsp: Annotated[int, typer.Option(min=0, help="Multipliers of the device that may make products; without, "
                                                          "none.")] = 0,
             counts: Annotated[bool, typer.Option("--counts/--spikes", help="Spikes travel as their counts where all "
                                                                            "who take them add them up.")] = True,
             rates: Annotated[str | None, typer.Option(metavar="DATA", help="Stages may skip all-zero words; cycles "
                                                       "are means over images of digits, mnist:DIR, ...")] = None,
             n: Annotated[int, typer.Option("-n", min=2, help="Test images for --rates.")] = 100,
             axi: Annotated[bool, typer.Option("--axi", help="Write an AXI4-Stream core with AXI4-Lite registers "
                                                             "too.")] = False,
             axi_bytes: Annotated[int | None, typer.Option(min=1, help="Bytes of a beat of its input.")] = None,
             target: Annotated[Literal["fpga", "asic"],
                               typer.Option(help="asic: no initial values, memories as modules.")] = "fpga",
             name: Annotated[str | None, typer.Option(help="Top module; begins the names of all modules and "
                                                           "files.")] = None,
             bench: Annotated[str | None, typer.Option(metavar="DATA", help="Its first two test images are what the "
                                                       "test benches offer; without, two random ones.")] = None,
             clock: Annotated[float, typer.Option(min=0.001, help="Clock of the constraints, in MHz.")] = 100.0,
             json: JsonOption = False) -> None:
    """Generate Verilog, predict its cycles and area, and write what integrators need beside it."""
    from .. import api
    from ..gen.emit.names import rom_file

    if axi_bytes is not None and not axi:
        raise typer.BadParameter("is for --axi only", param_hint="--axi-bytes")
    start = time.perf_counter()
    loaded = api.load(network)
    sample = None if rates is None else api.frames(loaded, rates, n).pixels
    offered = None if bench is None else api.frames(loaded, bench, 2).pixels
    with bars() as step:
        design, contents = api.generate(loaded, output, fold=fold, cycles=cycles, device=device, dsp=dsp,
                                        counts=counts, rates=sample, axi=axi, axi_bytes=axi_bytes, target=target,
                                        name=name, bench=offered, clock=clock,
                                        progress=lambda what: step(what, 0, 0))
    seconds = time.perf_counter() - start
    predicted = contents["predicted"]
    core = contents.get("axi")
    roms = [rom_file(m["module"]) for m in contents.get("memories", []) if m["kind"] == "rom"]
    texts = [made[key] for made in (contents, *([core] if core else [])) for key in ("verilog", "waiver")]
    for_integrators = contents["files"].values()
    files = [output / file for file in (*texts, *roms, *for_integrators, "network.safetensors", "design.json")]
    if json:
        print_json({"folds": contents["folds"], **predicted, "search": contents["search"],
                    **({"axi": core} if core else {}), "verilog_sha256": contents["verilog_sha256"], "files": files,
                    "seconds": round(seconds, 3)})
        return
    area = sum(stage["lut4_eq_estimate"] for stage in predicted["stages"].values())
    print_text(table(f"{len(design.stages)} stages, T = {loaded.steps}, about {area:,} LUT4-eq",
                     ("stage", "outputs x inputs x steps", "cycles", "busy", "LUT4-eq"), fold_rows(contents)),
               f"latency {predicted['latency_cycles']:,} cycles, a frame every {predicted['interval_cycles']:,} cycles",
               *(["AXI: packets of {frame_bytes:,} bytes, {beat_bytes} a beat, into packets of {result_words:,} "
                  "words".format(**core), *(f"AXI: {m['stream']}, packets of {m['words_per_frame']:,} words of "
                                            f"{m['lanes']} x {m['bits']} bits" for m in core.get("maps", ()))]
                 if core else []),
               *contents["search"],
               *(f"wrote {file}" for file in files if file.name not in set(for_integrators)),
               f"wrote for integrators: {', '.join(for_integrators)} (docs/integrate.md)", f"in {seconds:.1f} s")


def outcome_figures(outcome: Any) -> dict[str, Any]:
    """An outcome of a verification as JSON values."""
    return {"simulator": outcome.simulator, "passed": outcome.passed, "frames": outcome.frames,
            "boundaries": outcome.boundaries, "transfers": outcome.transfers, "cycles": outcome.cycles,
            "cycles_per_second": round(outcome.cycles_per_second), "seconds": round(outcome.seconds, 3),
            "build_seconds": round(outcome.build_seconds, 3), "classes": outcome.classes.tolist(),
            "differences": [str(difference) for difference in outcome.differences], "waves": outcome.waves,
            "views": outcome.view.commands if outcome.view else [], "netlist": outcome.netlist,
            "cells": outcome.cells, "network_hash": outcome.network_hash, "verilog_sha256": outcome.verilog_sha256,
            "edits": outcome.edits, **({} if outcome.reach is None else {"reach": outcome.reach.figures()})}


def verify(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a generated design.")],
           data: Annotated[str, typer.Option(help="digits, mnist:DIR, fashion:DIR, cifar10:DIR, FILE.npz or a "
                                               "folder of images.")],
           n: Annotated[int, typer.Option("-n", min=1, help="Images to simulate: of the test split, then of the "
                                                            "training split.")] = 10,
           simulator: Annotated[Literal["verilator", "cocotb", "cocotb-icarus", "amaranth"],
                                typer.Option(help="Where to simulate.")] = "verilator",
           pauses: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of cycles in which the source and each "
                                                                          "sink pause at random.")] = 0.0,
           resets: Annotated[int, typer.Option(min=0, help="Resets at random cycles; what was under way is sent "
                                                           "again.")] = 0,
           seed: Annotated[int, typer.Option(min=0, help="Seed of pauses and resets.")] = 0,
           jobs: Annotated[int, typer.Option(min=1, help="Chunks of images that are worked on at once.")] = 1,
           netlist: Annotated[Literal["ecp5", "ice40"] | None,
                              typer.Option(help="Synthesise, and simulate the cells of this family.")] = None,
           ports_only: Annotated[bool, typer.Option("--ports-only", help="With --netlist: the netlist as it is placed, "
                                                    "compared at its ports.")] = False,
           waves: Annotated[Path | None, typer.Option(help="VCD file for the cycles around a difference, with views "
                                                           "for GTKWave and Surfer (Verilator).")] = None,
           junit: Annotated[Path | None, typer.Option(help="JUnit report to write.")] = None,
           allow_edited: Annotated[bool, typer.Option("--allow-edited", help="Verilog or design.json that is not as "
                                                      "generated may pass.")] = False,
           reach: Annotated[bool, typer.Option("--reach/--no-reach", help="Say what the images reached.")] = True,
           json: JsonOption = False) -> None:
    """Simulate a design and compare every word of every cycle on every boundary with the prediction."""
    from .. import api
    from ..gen.emit.writer import read
    from ..reach_table import reach_lines, reach_table
    from ..sim.show import without_headline
    from ..sim.verify import verify as verified

    if ports_only and netlist is None:
        raise typer.BadParameter("it needs --netlist", param_hint="--ports-only")
    design, contents = read(folder)
    images = api.frames(design.network, data, n, more=True)
    for file in (waves, junit):
        if file is not None:
            writable(file, folder=False)
    writable(folder / "sim", folder=True)
    model = note_model()
    start = time.perf_counter()
    with bars() as step:
        outcome = verified(design, contents, folder, images.pixels, simulator=simulator, pauses=pauses, seed=seed,
                           resets=resets, jobs=jobs, netlist=netlist or "", plain=ports_only, waves=waves, reach=reach,
                           allow_edited=allow_edited, progress=step)
    seconds = time.perf_counter() - start - outcome.build_seconds
    if junit is not None:
        from ..junit import write_junit

        write_junit(junit, str(folder), outcome, as_text(outcome.picture) if outcome.picture else "")
    if json:
        print_json({"design": folder, "data": data, "pauses": pauses, "resets": resets, "seed": seed, "jobs": jobs,
                    "model": model,
                    "wall_seconds": round(seconds, 3), **outcome_figures(outcome)})
    elif outcome.equal:
        what = "every cycle" + (f" after synthesis for {netlist}" if netlist else "")
        print_text(f"equal in {what}: {outcome.frames} frames, {outcome.boundaries} boundaries, "
                   f"{outcome.transfers:,} transfers, {outcome.cycles:,} cycles in {simulator}, "
                   f"{outcome.cycles_per_second:,.0f} cycles/s, {seconds:.1f} s after the build")
        if outcome.reach is not None:
            print_text(reach_table(outcome.reach), *reach_lines(outcome.reach))
    else:
        print_text(without_headline(outcome.picture))  # it is in the error
        if outcome.view:
            print_text(f"wrote {outcome.waves}", *outcome.view.commands)
        if outcome.wave_error:
            typer.echo(f"error: {outcome.wave_error}", err=True)
        for difference in outcome.differences[1:]:
            print_text(f"also: {difference}")
    if not outcome.equal:
        typer.echo(f"error: {folder} differs from its prediction: {outcome.differences[0]}", err=True)
    for edit in outcome.edits:
        kind = "warning" if allow_edited or not outcome.equal else "error"
        remedy = "" if allow_edited else "; generate it again, or let it pass with --allow-edited"
        typer.echo(f"{kind}: {folder} is not as generated: {edit}{remedy}", err=True)
    if not outcome.passed:
        raise typer.Exit(1)


def synth(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a generated design.")],
          device: Annotated[Literal["ecp5", "ice40", "xc7", "asic"],
                            typer.Option(help="Family of FPGAs, or gates.")] = "ecp5",
          clock: Annotated[bool, typer.Option("--clock", "--place", help="Place and route too, for the clock "
                                                                         "(ECP5).")] = False,
          size: Annotated[Literal["12k", "25k", "45k", "85k"] | None,
                          typer.Option(help="With --place: the ECP5 (85k without), speed grade 6.")] = None,
          seeds: Annotated[int | None, typer.Option(min=1, help="With --place: placements, of which the fastest is "
                                                    "kept.")] = None,
          jobs: Annotated[int | None, typer.Option(min=1, help="With --place: placements at once; each takes a "
                                                   "processor and up to 2 GB.")] = None,
          floorplan: Annotated[bool, typer.Option("--floorplan", help="With --place: block RAMs and multipliers have "
                                                  "sites first, and the rest is placed around them.")] = False,
          placer: Annotated[Literal["heap", "static"] | None,
                            typer.Option(help="With --place: nextpnr's placer (heap without); static for devices "
                                              "that are nearly full.")] = None,
          router: Annotated[Literal["router1", "router2"] | None,
                            typer.Option(help="With --place: nextpnr's router (router1 without); router2 for devices "
                                              "that are nearly full.")] = None,
          output: Annotated[Path | None, typer.Option("--output", "-o", help="With --place: a JSON file, written anew "
                                                      "after every seed.")] = None,
          json: JsonOption = False) -> None:
    """Synthesise a design with Yosys and count its cells; place and route it for its clock."""
    from ..gen.emit.origin import inspect
    from ..gen.emit.writer import read
    from ..gen.targets.asic import area as asic_area
    from ..gen.targets.fpga import synth as tools

    if clock and device != "ecp5":
        raise typer.BadParameter("a clock is available for --device ecp5 only", param_hint="--clock")
    for option, value in (("size", size), ("seeds", seeds), ("jobs", jobs), ("output", output),
                          ("floorplan", floorplan or None), ("placer", placer), ("router", router)):
        if value is not None and not clock:
            raise typer.BadParameter("is for --place only", param_hint=f"--{option}")
    design, contents = read(folder)
    edits = inspect(folder, design, contents).edits
    if output is not None:
        writable(output, folder=False)
    start = time.perf_counter()
    placed: dict[str, Any] = {}
    with bars() as step:
        step("synthesis", 0, 0)
        if clock:
            placed = tools.place(folder, contents, size or "85k", seeds=seeds or 1, jobs=jobs or 1,
                                 floorplan=floorplan, placer=placer or "heap", router=router or "router1",
                                 record=output, progress=step)
            cells = placed.pop("cells")
        elif device == "asic":
            cells = asic_area.synthesise(folder, contents)
        else:
            cells = tools.synthesise(folder, contents, device)
    seconds = time.perf_counter() - start
    estimate = sum(stage["lut4_eq_estimate"] for stage in contents["predicted"]["stages"].values())
    for edit in edits:
        typer.echo(f"warning: {folder} is not as generated: {edit}", err=True)
    if json:
        print_json({"design": folder, "device": device, "cells": cells, "estimated_lut4_eq": estimate, "edits": edits,
                    **({"clock": placed} if clock else {}), "seconds": round(seconds, 3)})
        return
    rows = [(name, f"{count:,}") for name, count in cells.items()]
    if device == "ecp5":
        rows.insert(1, ("lut4_eq estimated", f"{estimate:,}"))
    print_text(table(f"{folder} on {device}", ("cells", "number"), rows))
    if clock:
        print_text(*_placed(placed, size or "85k", contents["predicted"]["interval_cycles"]))
    print_text(f"in {seconds:.1f} s")


def _placed(placed: dict[str, Any], size: str, interval: float) -> list[str]:
    """What is said of a placement: the clock, and how far the seeds lie apart."""
    spread = placed["spread"]
    reached = (f"{placed['mhz']:.1f} MHz after place and route on LFE5U-{size[:-1]}F, speed grade 6 (asked for "
               f"{placed['target_mhz']:g} MHz), a frame every {interval / placed['mhz']:,.1f} us")
    among = (f"the fastest of {spread['seeds']} placements, seed {placed['seed']}: {spread['min_mhz']:.1f} to "
             f"{spread['max_mhz']:.1f} MHz, median {spread['median_mhz']:.1f}") if spread["seeds"] > 1 else ""
    failed = [f"seed {one['seed']} failed: {one['error']}" for one in spread["each"] if "error" in one]
    return [reached, *filter(None, [among]), *failed]
