"""``adjoint probe``: how fast the file system is here, and whether transfers are hidden."""

import argparse
import importlib
import json
import os
from typing import Any

from adjoint.cli.arguments import FAILED, Commands, add_command, with_units
from adjoint.errors import AdjointError, ArgumentError
from adjoint.parallel import communicator
from adjoint.reporting import engine_table
from adjoint.units import parse_bytes

__all__ = ["add_probe"]

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")
"""Environment variables of MPICH, PMIx, Open MPI and Intel MPI: mpirun sets one in each process."""

DESCRIPTION = """\
are writes and reads hidden behind the computation here? Measures every engine with a temporary file
in FOLDER, with and without a free core, and prints which one a gradient would use, and why"""

EPILOG = """\
Under mpirun all ranks write and read at once: mpirun -n 2 adjoint probe /scratch. Sizes are those
of one rank's state."""


def add_probe(commands: Commands) -> None:
    """Add the command to the parser's commands."""
    parser = add_command(commands, "probe", _probe, DESCRIPTION, EPILOG)
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        default=".",
        help="where the file will be (default: the current folder)",
    )
    parser.add_argument(
        "--state",
        type=with_units(parse_bytes),
        metavar="SIZE",
        nargs="+",
        default=engine_table.STATE_BYTES,
        help="sizes of a state (default: 64 KiB, 2 MiB and 16 MiB)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _probe(options: argparse.Namespace) -> int:
    comm = communicator(_ranks())
    try:
        with comm.failing():
            rows = engine_table.probe_engines(options.folder, options.state, comm)
    except AdjointError:
        if comm.rank:
            return FAILED  # the error is the same on all ranks, and rank 0 prints it
        raise
    else:
        if comm.rank == 0:
            if options.json:
                print(json.dumps([row.as_json() for row in rows], indent=2))
            else:
                print(engine_table.as_text(rows))
    finally:
        comm.free()
    return 0


def _ranks() -> Any:
    """Return all ranks if mpirun has started this process, else None.

    Only then is mpi4py imported, which may not be installed and which initialises MPI.
    """
    if not any(name in os.environ for name in RANK_VARIABLES):
        return None
    try:
        return importlib.import_module("mpi4py.MPI").COMM_WORLD
    except ImportError as absent:
        raise ArgumentError(
            f"mpirun has started this process, but mpi4py cannot be imported: {absent}"
        ) from None
