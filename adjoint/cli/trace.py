"""``adjoint trace``: what a run did all the time, in figures and as a picture."""

import argparse
import sys

from adjoint.cli.arguments import Commands, drawing_module, reading
from adjoint.reporting.trace_file import RecordedTimeline
from adjoint.units import parse_seconds

__all__ = ["add_trace"]

TRACE = """\
what did a run do all the time? Prints how long each kind of action took, and how much of the
transfers was hidden, from the file that trace= wrote"""

TRACE_ENDING = """\
Times are written as 0.02 (seconds), "20 ms" or "2 min", from the beginning of the run. Perfetto
(ui.perfetto.dev) shows the same file event by event."""


def add_trace(commands: Commands) -> None:
    """Add the command to those there are."""
    parser = commands.add_parser(
        "trace",
        help=TRACE.partition("?")[0] + "?",
        description=TRACE,
        epilog=TRACE_ENDING,
        allow_abbrev=False,
    )
    parser.set_defaults(answer=_trace)
    parser.add_argument("file", metavar="FILE", help="what trace= wrote")
    parser.add_argument(
        "--plot",
        metavar="PICTURE",
        help="draw steps and transfers against time, in a .png, .pdf or .svg file",
    )
    for name, dest, text in (
        ("--from", "since", "leave out what was before (nothing)"),
        ("--to", "until", "leave out what came after (nothing)"),
    ):
        parser.add_argument(name, dest=dest, type=reading(parse_seconds), metavar="TIME", help=text)


def _trace(options: argparse.Namespace) -> int:
    drawing = None
    if options.plot is not None:
        drawing = drawing_module("adjoint.plots.trace", options.plot)
    timeline = RecordedTimeline.read(options.file).within(options.since, options.until)
    print(timeline.as_text())
    if drawing is not None:
        drawing.draw_timeline(timeline, options.plot)
        print(f"drawn in {options.plot}", file=sys.stderr)
    return 0
