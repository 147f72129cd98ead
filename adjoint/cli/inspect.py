"""``adjoint inspect``: what a snapshot file holds, and whether it is as it was written."""

import argparse
import importlib
import json

from adjoint.cli.arguments import Commands

__all__ = ["add_inspect"]

BAD = 1
"""The exit code where something is not as it was written."""

INSPECT = """\
what does a snapshot file hold? Prints its states, its journal and its sizes. The file is not
changed, and may belong to a run that is still going"""

INSPECT_ENDING = """\
The exit code is 1 if --verify finds something that is not as it was written, 2 if it is not a
snapshot file."""


def add_inspect(commands: Commands) -> None:
    """Add the command to those there are."""
    parser = commands.add_parser(
        "inspect",
        help=INSPECT.partition("?")[0] + "?",
        description=INSPECT,
        epilog=INSPECT_ENDING,
        allow_abbrev=False,
    )
    parser.set_defaults(answer=_inspect)
    parser.add_argument("file", metavar="FILE", help="the snapshot file")
    parser.add_argument(
        "--verify", action="store_true", help="read every state, and compare it with its checksum"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def _inspect(options: argparse.Namespace) -> int:
    # Loaded only here: it takes h5py.
    inspection = importlib.import_module("adjoint.reporting.snapshot_summary")
    found = inspection.inspect_file(options.file, verify=options.verify)
    print(json.dumps(found.as_json(), indent=2) if options.json else found.as_text())
    return 0 if found.is_sound else BAD
