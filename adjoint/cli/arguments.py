"""What the commands share: their parsers, options with units, and the check before a picture."""

import argparse
from collections.abc import Callable
from typing import Any

from adjoint import plots
from adjoint.errors import ArgumentError

__all__ = ["FAILED", "Commands", "add_command", "require_plotting", "with_units"]

FAILED = 2
"""Exit code after an error."""

Commands = Any
"""The return type of `argparse.ArgumentParser.add_subparsers`, which has no public name."""


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Add a command that calls `run` and return its parser.

    The description begins with the question that the command answers, up to its question mark: the
    list of commands shows only that.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=description.partition("?")[0] + "?",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def with_units(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the parser of a quantity with its `ArgumentError` turned into argparse's error."""

    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ArgumentError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def require_plotting(path: str) -> None:
    """Raise unless a picture can be drawn and saved there: called before anything is computed.

    Raises
    ------
    ArgumentError
        Matplotlib is not installed, or no picture can be saved under such a name.
    """
    try:
        plots.check_picture_path(path)
    except ModuleNotFoundError as absent:
        raise ArgumentError(
            f"--plot needs {str(absent.name).partition('.')[0]}, which is not installed: "
            'run pip install "adjoint[plot]", or leave --plot out'
        ) from None
