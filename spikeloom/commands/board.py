"""The command that talks to a board: run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import bars, need, percent, print_json, print_text, table, writable
from .network import JsonOption, write_outputs

if TYPE_CHECKING:
    import numpy as np

    from ..link import BoardResult, Host, Info
    from ..quant.ir.network import Network

__all__ = ["run"]

SIMULATED_TIMEOUT = 60.0
"""Seconds to wait for a reply of a simulated board, whose time passes slowly."""

LONGEST = 60.0
"""Seconds at most that the line may need for what is under way, and for a frame to go out."""


def run(port: Annotated[str | None, typer.Option(help="Serial port of the board, such as /dev/ttyUSB0.")] = None,
        simulate: Annotated[Path | None, typer.Option(metavar="DIR", help="Simulate the board of a generated design, "
                                                                          "in place of a port.")] = None,
        data: Annotated[str, typer.Option(help="digits, mnist:DIR, fashion:DIR, cifar10:DIR, FILE.npz or a "
                                                "folder of images.")] = "digits",
        n: Annotated[int, typer.Option("-n", min=1, help="Test images to send.")] = 10,
        network: Annotated[Path | None, typer.Option(help="Network file, or folder of a generated design: compare with "
                                                          "its golden model.")] = None,
        baud: Annotated[int, typer.Option(min=1, help="Bits a second on the port.")] = 1_000_000,
        timeout: Annotated[float, typer.Option(min=0.01, help="Seconds to wait for a reply.")] = 2.0,
        output: Annotated[Path | None, typer.Option("--output", "-o", help="A .npz file of what the board gives: maps "
                                                    "(N, C, H, W), logits (N, C), by name.")] = None,
        json: JsonOption = False) -> None:
    """Send images to a board and show classes or the range of maps, latency and throughput."""
    if (port is None) == (simulate is None):
        raise typer.BadParameter("give either --port or --simulate DIR", param_hint="--port")
    if output is not None:
        writable(output, folder=False, read=(network, data))
    from .. import api
    from ..link import Host
    from .board_outputs import difference, given_by

    expected = None if network is None and simulate is None else _network(network or simulate)
    with bars() as step, _open(port, simulate, baud, step) as (serial, board):
        step("board", 0, 0)
        host = Host(serial, timeout=SIMULATED_TIMEOUT, tries=2) if board else Host(serial, timeout=timeout)
        info = host.info()
        # What is under way needs its time on the line, as long as that is a time that anybody would wait.
        host.timeout += min(LONGEST, info.window * (info.frame_bytes + info.reply_bytes) * 11 / baud)
        if expected is not None and expected.hash[:16] != info.network:
            raise _other(info, expected, network or simulate)
        pixels, labels = _images(expected, info, data, n)
        host.reset()
        images = [image.tobytes() for image in _bytes(pixels)]
        before, start = board.cycles if board else 0, time.perf_counter()
        results = host.classify(images, lambda done, total: step("images", done, total))
        seconds = time.perf_counter() - start
        cycles = board.cycles - before if board else None
        golden = None
        if expected is not None:
            step("golden model", 0, 0)
            golden = api.outputs(expected, pixels)
        given = given_by(results, info, expected)
        figures = _figures(host, info, results, given, labels if info.classes else None, golden)
    if output is not None:
        write_outputs(output, given)
    # A simulated board's own time is what counts: its clock cycles at the clock that it has.
    figures |= {"images_per_second": round(n / (seconds if cycles is None else cycles / info.clock_hz), 2),
                "seconds": round(seconds, 3), **({"cycles": cycles} if cycles is not None else {})}
    _show(figures, json)
    if output is not None and not json:
        print_text(f"wrote {output}")
    if golden is not None and figures["golden_equal"] != n:
        typer.echo(f"error: the board differs from the golden model in {n - figures['golden_equal']} of {n} images, "
                   f"first in {difference(given, golden, figures.get('classes', ()))}", err=True)
        raise typer.Exit(1)


@contextmanager
def _open(port: str | None, simulate: Path | None, baud: int, step: Any) -> Iterator[tuple[Any, Any]]:
    """The serial port, and the simulated board behind it where it is one."""
    need("serial")
    from serial import Serial, SerialException

    from ..link import LinkError

    if simulate is None:
        try:
            opened = Serial(port, baud, timeout=0.02, write_timeout=LONGEST)
        except (SerialException, ValueError) as error:
            raise LinkError(f"{port}: {error}") from None
        with opened:
            try:
                yield opened, None
            except SerialException as error:  # pulled out, or full for LONGEST
                raise LinkError(f"{port}: {error}; check the cable, and that no other program has the port") from None
        return
    from ..gen.emit.writer import read
    from ..sim.board.simulation import BoardSim, build

    step("building the simulated board", 0, 0)
    folder = build(read(simulate)[0], simulate / "sim")
    with BoardSim(folder) as board, Serial(board.port, baud, timeout=0.02, write_timeout=LONGEST) as opened:
        yield opened, board


def _network(path: Path | None) -> Network:
    from .. import api

    assert path is not None
    return api.load(path / "network.safetensors" if path.is_dir() else path)


def _other(info: Info, network: Network, path: Path | None) -> Exception:
    from ..link import LinkError

    return LinkError(f"The board holds network {info.network}, {path} is {network.hash[:16]}; build the board's design "
                     "again, or name the network that it holds")


def _images(network: Network | None, info: Info, data: str, n: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (N, C, H, W) and labels; without the network, images that have as many bytes as the board's."""
    from .. import api
    from ..link import LinkError

    if network is not None:
        images = api.frames(network, data, n)
        if images.labels is not None and network.classifies:
            network.check_labels(images.labels, data)
        return images
    from ..quant.data import DataError, is_folder, load

    if data.endswith(".npz") or is_folder(data):
        raise DataError(f"{data}: a file of frames, or a folder, needs --network, whose input says what they are")
    found = load(data).with_bits(info.input_high.bit_length())
    if found.test_x[0].size != info.frame_bytes:
        raise LinkError(f"Images of {data} have {found.test_x[0].size} bytes, those of this board {info.frame_bytes}")
    if n > len(found.test_x):
        raise DataError(f"{data}: has {len(found.test_x)} test images, not {n}")
    if info.classes and (highest := found.test_y[:n].max()) >= info.classes:
        raise LinkError(f"{data}: holds label {highest}, but this board's network has classes 0..{info.classes - 1}")
    return found.test_x[:n], found.test_y[:n]


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) as they go over the line, (N, bytes): pixel by pixel, the channels of one side by side."""
    return pixels.transpose(0, 2, 3, 1).reshape(len(pixels), -1).astype("u1")


def _figures(host: Host, info: Info, results: list[BoardResult], given: dict[str, np.ndarray], labels: Any,
             golden: dict[str, np.ndarray] | None) -> dict[str, Any]:
    from .board_outputs import differs

    classes, latencies = [result.label for result in results], [result.latency for result in results]
    found: dict[str, Any] = {
        "network": info.network, "clock_hz": info.clock_hz, "window": info.window, "images": len(results),
        "latency_cycles": {"least": min(latencies), "mean": sum(latencies) / len(latencies), "most": max(latencies)},
        "latency_us": round(max(latencies) / info.clock_hz * 1e6, 3), "repeated": host.repeated}
    if info.classes:
        found |= {"classes": classes}
    if info.maps:
        found |= {"maps": {name: [int(x.min()), int(x.max())] for name, x in given.items() if x.ndim == 4}}
    if labels is not None:
        found |= {"labels": labels.tolist(), "accuracy": float((labels == classes).mean())}
    if golden is not None:
        wrong = differs(given, golden, classes).values()
        found["golden_equal"] = len(results) - sum(map(any, zip(*wrong, strict=True)))
    return found


def _show(figures: dict[str, Any], json: bool) -> None:
    if json:
        print_json(figures)
        return
    latency = figures["latency_cycles"]
    spread = f"{latency['least']:,}" if latency["least"] == latency["most"] else \
        f"{latency['least']:,} to {latency['most']:,}, mean {latency['mean']:,.1f}"
    rows = [("images", f"{figures['images']:,}"), ("latency, cycles", spread),
            ("latency, us", f"{figures['latency_us']:,.1f}"), ("images/s", f"{figures['images_per_second']:,.1f}"),
            ("sent again", f"{figures['repeated']:,}")]
    if "accuracy" in figures:
        rows.insert(1, ("accuracy", percent(figures["accuracy"])))
    if "golden_equal" in figures:
        rows.insert(2, ("equal to the golden model", f"{figures['golden_equal']:,} of {figures['images']:,}"))
    if "cycles" in figures:
        rows.append(("cycles simulated", f"{figures['cycles']:,}"))
    texts = [table(f"network {figures['network']} at {figures['clock_hz'] / 1e6:g} MHz", ("board", "value"), rows)]
    if "maps" in figures:
        ranges = [(name, *(f"{end:,}" for end in ends)) for name, ends in figures["maps"].items()]
        texts.append(table("Maps", ("map", "least", "largest"), ranges))
    if "classes" in figures:
        labels = figures.get("labels")
        first = [f"{c}" if labels is None or labels[k] == c else f"{c} (label {labels[k]})"
                 for k, c in enumerate(figures["classes"][:20])]
        texts.append("classes: " + ", ".join(first) + (", ..." if figures["images"] > 20 else ""))
    print_text(*texts, f"in {figures['seconds']:.1f} s")
