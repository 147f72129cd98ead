"""``adjoint inspect``: what a snapshot file holds, and whether its checksums match."""

import argparse
import json

from adjoint import reporting
from adjoint.cli.arguments import Commands, add_command

__all__ = ["add_inspect"]

DAMAGED = 1
"""Exit code if a checksum does not match."""

DESCRIPTION = """\
what does a snapshot file hold? Prints its states, its journal and its sizes. The file is only read,
and the run that writes it may still be going"""

EPILOG = """\
The exit code is 1 if --verify finds a checksum that does not match, 2 if the file is not a snapshot
file."""


def add_inspect(commands: Commands) -> None:
    """Add the command to the parser's commands."""
    parser = add_command(commands, "inspect", _inspect, DESCRIPTION, EPILOG)
    parser.add_argument("file", metavar="FILE", help="the snapshot file")
    parser.add_argument(
        "--verify", action="store_true", help="read every state and compare it with its checksum"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _inspect(options: argparse.Namespace) -> int:
    summary = reporting.inspect_file(options.file, verify=options.verify)
    print(json.dumps(summary.as_json(), indent=2) if options.json else summary.as_text())
    return 0 if summary.is_sound else DAMAGED
