"""What ranks tell each other, for one process and for many alike."""

from adjoint.parallel.communication import (
    Communicator,
    Reduction,
    communicator,
    largest,
    require_same,
    smallest,
)

__all__ = ["Communicator", "Reduction", "communicator", "largest", "require_same", "smallest"]
