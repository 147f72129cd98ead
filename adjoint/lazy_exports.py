"""Load the public names of a package when they are first used.

Many packages here export names whose modules import h5py, mpi4py, matplotlib, numba, PETSc, PyTorch
or JAX. Importing a package must import none of these, so it resolves its names by a module-level
``__getattr__`` (PEP 562). A package writes its names three times, each for another reader: in
imports under ``TYPE_CHECKING``, for type checkers; in ``__all__``; and in the table of where they
are defined.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        The module that defines each public name, relative to `package`; one that begins with a dot
        is relative to the package above. A name that is the last part of its module is that module
        itself.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f".{homes[name]}", package)
        return module if homes[name].rpartition(".")[2] == name else getattr(module, name)

    return load, lambda: sorted(homes)
