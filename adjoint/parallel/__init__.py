"""What ranks tell each other: one interface for a single process and for an MPI communicator."""

from adjoint.parallel.agreement import agree_on, largest, require_same, smallest
from adjoint.parallel.communication import Communicator, Reduction, communicator

__all__ = [
    "Communicator",
    "Reduction",
    "agree_on",
    "communicator",
    "largest",
    "require_same",
    "smallest",
]
