"""The cost of a run: the sum of what each rank returns as its part."""

import inspect
import math
import warnings

import numpy as np

from adjoint.driver.run import Run
from adjoint.errors import NonFiniteError
from adjoint.parallel import Communicator
from adjoint.parallel.launcher import world_size
from adjoint.steppers.protocol import Arrays
from adjoint.storage.checksums import hash_of

__all__ = ["sum_costs", "warn_of_forgotten_comm"]


def sum_costs(cost: float, run: Run, computed: Arrays) -> float:
    """Return the cost summed over ranks, once all have found it finite. Collective.

    Warns, on rank 0, if all ranks of the world return the same cost, to the last bit, though what
    they have `computed` (a state, or gradients) differs: each has most likely returned the whole
    cost. Not in an ensemble, whose ranks are a part of the world.

    Raises
    ------
    NonFiniteError
        On every rank.
    """
    comm = run.comm
    parts = comm.gather(cost)
    total = math.fsum(parts)
    if not math.isfinite(total):
        steps = comm.gather(run.capabilities.first_non_finite)
        known = [step for step in steps if step is not None]
        where = f", and was not finite first in step {min(known)}" if known else ""
        comm.agree(NonFiniteError(f"the cost is {total}, summed over all ranks{where}"))
    if 1 < comm.size == world_size() and total and len(set(parts)) == 1:
        in_memory = {name: a for name, a in computed.items() if type(a) is np.ndarray}
        if len(set(comm.gather(hash_of(in_memory)))) > 1:
            _warn_on_first_rank(
                f"all {comm.size} ranks returned the same cost. Each returns its part of the cost, "
                "and the parts are summed here: do not sum it over ranks in the stepper. If each "
                "rank computes a problem of its own, give comm=MPI.COMM_SELF",
                comm,
            )
    return total


def warn_of_forgotten_comm() -> None:
    """Warn, without a communicator, if this process is one of several ranks."""
    size = world_size()
    if size > 1:
        warnings.warn(
            f"comm= is not given, but there are {size} ranks: each computes a run of its own. Give "
            "comm=MPI.COMM_WORLD for one run on all ranks, or comm=MPI.COMM_SELF if this is meant",
            stacklevel=_callers_level(),
        )


def _callers_level() -> int:
    """Return the `stacklevel` of the line outside this package that led to a warning."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("adjoint."):
        frame, level = frame.f_back, level + 1
    return level


def _warn_on_first_rank(message: str, comm: Communicator) -> None:
    """Warn on rank 0; where warnings are errors, raise on every rank. Collective."""
    error = None
    if comm.rank == 0:
        try:
            warnings.warn(message, stacklevel=_callers_level())
        except UserWarning as raised:
            error = raised
    comm.agree(error)
