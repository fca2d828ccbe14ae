"""The command line. Each command imports what it needs when it runs, so that the help is there at once."""

from __future__ import annotations

from typing import Annotated

import typer

from . import (
    commands_board,
    commands_build,
    commands_demo,
    commands_design,
    commands_examples,
    commands_explore,
    commands_network,
)
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


for command in (commands_demo.demo, commands_examples.examples, commands_network.train, commands_network.eval_,
                commands_design.generate, commands_design.verify, commands_design.synth, commands_build.build,
                commands_board.run, commands_explore.explore):
    app.command(name=command.__name__.rstrip("_"))(command)


def main() -> None:
    """Run the command line."""
    app()
