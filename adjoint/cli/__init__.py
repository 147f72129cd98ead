"""The command ``adjoint``: what a gradient will cost, what a run did, and what a file holds.

A new command is one file with a function that adds its parser, and one name in `COMMANDS`. Errors
in what the user asks, and outputs that cannot be written, are one line on standard error and exit
code 2. A reader that closes the pipe early, as `head` does, ends the command without a word.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from adjoint import __version__
from adjoint.cli.arguments import FAILED
from adjoint.cli.inspect import add_inspect
from adjoint.cli.plan import add_plan
from adjoint.cli.probe import add_probe
from adjoint.cli.trace import add_trace
from adjoint.errors import AdjointError, ArgumentError
from adjoint.printable import printable

__all__ = ["main"]

SIGNALLED = 128
"""Added to the number of a signal: the exit code of a shell whose command it has ended."""

MAX_MESSAGE = 1000
"""Characters of an error message that are shown."""

COMMANDS = (add_plan, add_probe, add_trace, add_inspect)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, or the program's own; return the exit code."""
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names need not be text in the terminal's encoding, nor in any.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            options = _parser().parse_args(arguments)
            return options.run(options)
        finally:
            if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison]
                sys.stdout.flush()
    except AdjointError as error:
        return _complain(str(error))
    except BrokenPipeError:
        _abandon(sys.stdout)
        return SIGNALLED + signal.SIGPIPE
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except MemoryError:
        return _complain("there is not enough memory for this")
    except OSError as error:
        _abandon(sys.stdout)
        what = error.filename or "the output"
        return _complain(f"cannot write {what}: {error.strerror or error}")


def _complain(message: str) -> int:
    """Print one line on standard error, if that can be written; return the exit code."""
    try:
        shown = printable(" ".join(message.split()), MAX_MESSAGE)
        print("adjoint:", shown, file=sys.stderr, flush=True)
    except OSError:
        _abandon(sys.stderr)
    return FAILED


def _abandon(stream: TextIO | Any) -> None:
    """Discard a stream's buffer: written at exit, it would fail and change the exit code."""
    with suppress(OSError, ValueError):  # a stream may have no descriptor
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: Any = None) -> None:
        print(message, end="", file=file or sys.stderr)  # argparse ignores that it cannot

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    about = "Exact gradients of long computations in bounded memory."
    parser = _Parser(prog="adjoint", description=about, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"adjoint {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser
