"""The command ``adjoint``: what a gradient will cost, what a run did, and what a file holds.

A new command is one file with a function that adds its parser, and one name in `COMMANDS`. Errors
in what the user asks are one line on standard error and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from adjoint.cli.inspect import add_inspect
from adjoint.cli.plan import add_plan
from adjoint.cli.probe import add_probe
from adjoint.cli.trace import add_trace
from adjoint.errors import AdjointError, ArgumentError

__all__ = ["main"]

COMMANDS = (add_plan, add_probe, add_trace, add_inspect)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or the program's own; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return options.run(options)
    except AdjointError as error:
        print("adjoint:", " ".join(str(error).split()), file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    about = "Exact gradients of long computations in bounded memory."
    parser = _Parser(prog="adjoint", description=about, allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser
