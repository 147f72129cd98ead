"""Modules here that need petsc4py, loaded when they are first used."""

import importlib
from typing import Any

from adjoint.errors import ArgumentError

__all__ = ["with_petsc"]


def with_petsc(module: str, what: str) -> Any:
    """Return a module of this package that imports petsc4py.

    Raises
    ------
    ArgumentError
        petsc4py cannot be imported; the message says that `what` needs it.
    """
    try:
        return importlib.import_module(f"adjoint.inverse.{module}")
    except ImportError as error:
        raise ArgumentError(f"{what} needs petsc4py: pip install petsc4py ({error})") from None
