"""The command line. Each command imports what it needs when it runs, so that the help is there at once."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import board, build, convert, demo, design, examples, explore, network, report
from .console import Commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="spikeloom", cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    help="From a trained PyTorch network to a streaming spiking or quantised accelerator in Verilog, verified cycle "
         "for cycle.")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"spikeloom {version('spikeloom')}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                                   help="Print the version.")] = False) -> None:
    """Options before the command."""


for command in (demo.demo, examples.examples, convert.convert, network.train, network.eval_, network.export,
                report.report, design.generate, design.verify, design.synth, build.build,
                board.run, explore.explore):
    app.command(name=command.__name__.rstrip("_"))(command)


def main() -> None:
    """Run the command line."""
    app()
