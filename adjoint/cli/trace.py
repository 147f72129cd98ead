"""``adjoint trace``: what a run spent its time on, in figures and as a picture."""

import argparse
import sys

from adjoint import plots
from adjoint.cli.arguments import Commands, add_command, require_plotting, with_units
from adjoint.reporting.trace_file import read_trace
from adjoint.reporting.trace_summary import summarise
from adjoint.units import parse_seconds

__all__ = ["add_trace"]

DESCRIPTION = """\
what did a run spend its time on? Prints the time that each kind of action took, and which part of
the transfers was hidden behind the computation, from the file that trace= wrote"""

EPILOG = """\
Times are written as 0.02 (seconds), "20 ms" or "2 min", and count from the beginning of the run.
Perfetto (ui.perfetto.dev) shows the same file event by event."""


def add_trace(commands: Commands) -> None:
    """Add the command to the parser's commands."""
    parser = add_command(commands, "trace", _trace, DESCRIPTION, EPILOG)
    parser.add_argument("file", metavar="FILE", help="the file that trace= wrote")
    parser.add_argument(
        "--plot",
        metavar="PICTURE",
        help="draw steps and transfers against time, in a .png, .pdf or .svg file",
    )
    for name, dest, text in (
        ("--from", "since", "leave out what happened before (default: the beginning)"),
        ("--to", "until", "leave out what happened after (default: the end)"),
    ):
        kind = with_units(parse_seconds)
        parser.add_argument(name, dest=dest, type=kind, metavar="TIME", help=text)


def _trace(options: argparse.Namespace) -> int:
    if options.plot is not None:
        require_plotting(options.plot)
    trace = read_trace(options.file).within(options.since, options.until)
    print(summarise(trace))
    if options.plot is not None:
        plots.save_figure(plots.trace_figure(trace), options.plot)
        print(f"drawn in {options.plot}", file=sys.stderr)
    return 0
