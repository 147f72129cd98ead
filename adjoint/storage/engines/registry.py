"""The engines by name: the one list for `engine=`, plans, messages and tests."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Any

from adjoint.errors import ArgumentError, SnapshotFileError
from adjoint.parallel import Communicator
from adjoint.storage.agreement import on_all_ranks
from adjoint.storage.engines.base import Engine
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import Placement

__all__ = [
    "ENGINES",
    "EngineFactory",
    "EngineKind",
    "candidate_names",
    "engine_names",
    "open_engine",
    "register_engine",
    "require_engine",
]

SAFE_LIBRARIES = {"MPICH": 4}
"""MPI libraries, from which major version on, whose nonblocking I/O survives errors of the disk.
With any other that engine is used only if it is asked for by name. Open MPI's survives them too, as
tests show, but only because of what its default component does beyond the standard."""

EngineFactory = Callable[[Communicator, Placement], Engine]
"""Opens an engine on this rank's part of a file, or raises `OSError`. All ranks call it."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """How engines of one kind are opened."""

    factory: EngineFactory | str
    """A string, "module:factory", is imported when it is first used."""
    needs_mpi: bool = False
    """Whether it can be used only with an MPI communicator."""

    def load(self) -> EngineFactory:
        """Return the factory; its calls may be collective. Raises `ImportError` or `OSError`."""
        factory = self.factory
        if isinstance(factory, str):
            module, _, name = factory.partition(":")
            factory = getattr(importlib.import_module(module), name)
        return factory


ENGINES: dict[str, EngineKind] = {}
"""Every kind of engine, in the order in which plans measure them if there is time."""


def register_engine(name: str, factory: EngineFactory | str, *, needs_mpi: bool = False) -> None:
    """Make a kind of engine known: ``engine=name`` selects it, and plans measure it.

    The how-to page *Add a storage engine* in the documentation shows how to write one.

    Parameters
    ----------
    name
        Must be new.
    factory
        A function of (comm, placement) that opens an engine on this rank's part of a file, or
        "module:function". It is called by all ranks, and raises `OSError` where it cannot be done.
    needs_mpi
        Whether the engine can be used only with an MPI communicator.

    Raises
    ------
    ArgumentError
        There is an engine of that name.
    """
    if name in ENGINES:
        raise ArgumentError(f"there is an engine called {name!r} already: choose another name")
    ENGINES[name] = EngineKind(factory, needs_mpi)


register_engine("mpi", "adjoint.storage.engines.mpi:MpiEngine", needs_mpi=True)
register_engine("direct", lambda _comm, placement: ThreadEngine(DirectRankFile(placement)))
register_engine("thread", lambda _comm, placement: ThreadEngine(RankFile(placement)))


def engine_names(comm: Communicator) -> tuple[str, ...]:
    """Return the engines that can be used with `comm`, in the order in which to measure them."""
    return tuple(
        name for name, kind in ENGINES.items() if comm.mpi is not None or not kind.needs_mpi
    )


def candidate_names(comm: Communicator) -> tuple[str, ...]:
    """Return those of `engine_names` that plans measure, and may choose.

    Not MPI's I/O, unless the library is one of `SAFE_LIBRARIES`.
    """
    return tuple(
        name for name in engine_names(comm) if name != "mpi" or _survives_disk_errors(comm.mpi)
    )


def _survives_disk_errors(comm: Any) -> bool:
    # Taken from the module of the communicator, because nothing here imports mpi4py.
    name, version = sys.modules[type(comm).__module__].get_vendor()
    return name in SAFE_LIBRARIES and version[0] >= SAFE_LIBRARIES[name]


def require_engine(engine: object, comm: Communicator) -> None:
    """Raise `ArgumentError` unless `engine=` is None, callable, or a name usable with `comm`."""
    if (
        engine is None
        or callable(engine)
        or (isinstance(engine, str) and engine in engine_names(comm))
    ):
        return
    if isinstance(engine, str) and engine in ENGINES:
        raise ArgumentError(f"engine={engine!r} needs comm=, an MPI communicator")
    names = ", ".join(f'"{name}"' for name in engine_names(comm))
    raise ArgumentError(
        f"engine={short_repr(engine)}: choose one of {names}, or pass a function of "
        "(comm, placement) that returns an engine"
    )


def open_engine(
    placement: Placement, comm: Communicator, engine: str | EngineFactory | None
) -> Engine:
    """Return an engine on this rank's part of a file. Collective on `comm`.

    None selects "mpi" if it is one of `candidate_names` and the file system can reserve space,
    without which MPI cannot report a full disk; otherwise "thread".

    Raises
    ------
    SnapshotFileError
        On every rank: the engine cannot be used on that file.
    """
    if engine is None:
        is_safe = placement.reservable and "mpi" in candidate_names(comm)
        engine = "mpi" if is_safe else "thread"
    failing = f"cannot open the snapshot file {placement.name}"
    factory = (
        engine
        if callable(engine)
        # Loaded on all ranks, or on none, before any of them makes a collective call.
        else on_all_ranks(ENGINES[engine].load, comm, failing=failing, catch=Exception)
    )

    def made() -> Engine:
        opened = factory(comm, placement)
        if not hasattr(opened, "give_up_after"):
            raise SnapshotFileError(
                f"engine= returned {short_repr(opened)}: it must return an object with the methods "
                "of adjoint.storage.engines.base.Engine"
            )
        return opened

    return on_all_ranks(
        made,
        comm,
        failing=failing,
        undo=lambda opened: opened.close(),
    )
