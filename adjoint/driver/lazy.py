"""The one module that is imported only where a run has a file, or names an engine.

It imports h5py, which may initialise MPI under mpirun.
"""

__all__ = ["engines"]


def engines():  # no annotation: the type checker infers the module
    """Return the module `adjoint.storage.engines.registry`."""
    from adjoint.storage.engines import registry  # noqa: PLC0415

    return registry
