"""What commands have in common: how an option is read, and how a module that draws is loaded."""

import argparse
import importlib
from collections.abc import Callable
from typing import Any

from adjoint.errors import ArgumentError

__all__ = ["Commands", "drawing_module", "reading"]

Commands = Any
"""What `argparse.ArgumentParser.add_subparsers` returns, which has no name of its own."""


def reading(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the function with errors that argparse passes on."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except ArgumentError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def drawing_module(name: str, path: str) -> Any:
    """Return the module that draws, once it is certain that it can draw to such a file.

    Raises
    ------
    ArgumentError
        A library is absent, or the ending is not that of a picture, or there is no such folder.
    """
    try:
        drawing = importlib.import_module(name)
        strokes = importlib.import_module("adjoint.plots.canvas")
    except ModuleNotFoundError as absent:
        raise ArgumentError(
            f"--plot needs {str(absent.name).partition('.')[0]}, which is not installed: "
            'pip install "adjoint[plot]", or do without --plot'
        ) from None
    strokes.require_drawable(path)
    return drawing
