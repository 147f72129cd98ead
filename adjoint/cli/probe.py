"""``adjoint probe``: how fast the file system is here, and whether transfers hide."""

import argparse
import importlib
import json
import os
from typing import Any

from adjoint.cli.arguments import Commands, reading
from adjoint.errors import AdjointError, ArgumentError
from adjoint.parallel import Communicator, communicator
from adjoint.units import parse_bytes

__all__ = ["add_probe"]

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
"""One of them is set in every process that mpirun has started."""

PROBE = """\
do writes and reads hide behind the computation here? Measures every engine with a temporary file in
FOLDER, with and without a free core, and says which one a gradient would use, and why"""

PROBE_ENDING = """\
Under mpirun, all ranks write and read at once: mpirun -n 2 adjoint probe /scratch. Sizes are those
of one rank's state."""


def add_probe(commands: Commands) -> None:
    """Add the command to those there are."""
    parser = commands.add_parser(
        "probe",
        help=PROBE.partition("?")[0] + "?",
        description=PROBE,
        epilog=PROBE_ENDING,
        allow_abbrev=False,
    )
    parser.set_defaults(answer=_probe)
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default=".", help="where (the current one)"
    )
    parser.add_argument(
        "--state",
        type=reading(parse_bytes),
        metavar="SIZE",
        nargs="+",
        help="sizes of a state (64 KiB, 2 MiB and 16 MiB)",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def _probe(options: argparse.Namespace) -> int:
    comm = communicator(_ranks())
    try:
        with comm.failing():
            rows = _measured(options, comm)
    except AdjointError:
        if comm.rank:
            return 2  # all ranks have met it, and one tells
        raise
    else:
        if comm.rank == 0:
            table = _table()
            print(
                json.dumps(table.as_json(rows), indent=2) if options.json else table.as_text(rows)
            )
    finally:
        comm.free()
    return 0


def _measured(options: argparse.Namespace, comm: Communicator) -> Any:
    table = _table()
    return table.probe_engines(options.folder, options.state or table.STATE_BYTES, comm)


def _table() -> Any:
    # Loaded only here: it takes h5py.
    return importlib.import_module("adjoint.reporting.engine_table")


def _ranks() -> Any:
    """Return all ranks if mpirun has started this process, else None.

    mpi4py is loaded then, and only then: it may not be installed, and initialises MPI.
    """
    if not any(name in os.environ for name in RANK_VARIABLES):
        return None
    try:
        return importlib.import_module("mpi4py.MPI").COMM_WORLD
    except ImportError as absent:
        raise ArgumentError(
            f"mpirun has started this process, but mpi4py cannot be loaded: {absent}"
        ) from None
