"""The command ``adjoint``: what a gradient will cost, what a run did, and what it left.

Whatever cannot be met is one line on stderr and exit code 2.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or the program's own; return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        return options.answer(options)
    except AdjointError as error:
        print("adjoint:", " ".join(str(error).split()), file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message} ({self.prog} --help tells more)")


def _parser() -> argparse.ArgumentParser:
    about = "Exact gradients of long computations."
    parser = _Parser(prog="adjoint", description=about, allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (add_plan, add_probe, add_trace, add_inspect):
        add(commands)
    return parser
