"""How many processes MPI, or the launcher of this process, has started. Imports no MPI."""

import os
import sys
from typing import Any

__all__ = ["ranks_on_this_node", "world_size"]

WORLD_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
"""Variables in which Open MPI, launchers with PMI (MPICH, Intel MPI, Cray), and srun say how many
processes they have started."""

NODE_SIZES = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
"""The number of processes on this node."""


def world_size() -> int:
    """Return the number of ranks in MPI's world; 1 if nothing says that there are more."""
    world = _world()
    return _largest(WORLD_SIZES) if world is None else world.Get_size()


def ranks_on_this_node() -> int:
    """Return the number of processes that the launcher started on this node; 1 if not known."""
    return _largest(NODE_SIZES)


def _world() -> Any:
    """Return MPI's world communicator; None without MPI."""
    mpi = sys.modules.get("mpi4py.MPI")
    running = mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized()
    return mpi.COMM_WORLD if mpi is not None and running else None


def _largest(names: tuple[str, ...]) -> int:
    given = [os.environ.get(name, "") for name in names]
    return max([1, *(int(number) for number in given if number.isdecimal())])
