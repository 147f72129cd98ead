"""What a run of a `FormStepper` depends on besides its controls."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from solvers.fenicsx.checks import Given
from solvers.fenicsx.dofs import Array, owned
from solvers.fenicsx.forms import depends_on

__all__ = ["digest_of", "fingerprint_of"]


def digest_of(space: Any) -> str:
    """Return a hash of mesh, numbering and partition, the same on all ranks. Collective."""
    mesh, dofmap = space.mesh, space.dofmap
    index_map = dofmap.index_map
    parts = [mesh.geometry.x, *mesh.geometry.dofmaps, dofmap.list, index_map.ghosts]
    parts += [np.array(index_map.local_range), np.array(index_map.owners)]
    running = hashlib.sha256()
    for part in parts:
        running.update(repr(part.shape).encode())
        running.update(np.ascontiguousarray(part))
    ranks = mesh.comm.allgather(running.digest())
    return hashlib.sha256(b"".join(ranks)).hexdigest()


def fingerprint_of(given: Given, digest: str, initial: Sequence[Array]) -> dict[str, Any]:
    """Return forms, mesh and partition, and data that are not controls, by name.

    Parameters
    ----------
    given
        The arguments of the stepper.
    digest
        The result of `digest_of`.
    initial
        Values that the initial state depends on.
    """
    found: dict[str, Any] = {
        "forms": {name: form.signature() for name, form in given.forms.items()},
        "controls": [(name, type(each).__name__) for name, each in given.controls.items()],
        "mesh and partition": digest,
    }
    ours = [given.unknown, *given.previous, *given.controls.values()]
    holders = [each for form in given.forms.values() for each in depends_on(form)]
    for place, holder in enumerate(holders):
        if not any(holder is each for each in ours):
            found[f"data {place}"] = owned(holder)
    for place, values in enumerate(initial):
        found[f"initial {place}"] = values
    for place, misfit in enumerate(given.misfits):
        for name, value in vars(misfit).items():
            if isinstance(value, (np.ndarray, float, int, str)):
                found[f"misfit {place} {name}"] = value
    return found
