"""One search with an evaluation log, to be killed: ``python logged_search.py METHOD LOG RESULT``.

The environment variable ``KILL_AT`` is a size of the log in bytes from which on the process kills
itself. What was found goes to RESULT.
"""

import os
import signal
import sys

import numpy as np
from inverse_problems import NUM_STEPS, observed_reaction, ring_stiffness

import adjoint
from adjoint import inverse


class DyingLog(inverse.EvaluationLog):
    """Kills the process once the file is as long as was asked for."""

    def add(self, record):
        """Add a record, and die."""
        super().add(record)
        if self.path.stat().st_size >= int(os.environ.get("KILL_AT", sys.maxsize)):
            os.kill(os.getpid(), signal.SIGKILL)


def run(method, log, **options):
    """Return what the search finds, with the log at a path."""
    prior = inverse.BiLaplacian(np.ones(30), ring_stiffness(), gamma=1.0, delta=0.1)
    unknown = inverse.Unknown("m", transform=inverse.Log(), prior=prior)
    with adjoint.Functional(observed_reaction(), NUM_STEPS, memory="1 MiB") as functional:
        inversion = inverse.Inversion(functional, [unknown], log=DyingLog(log))
        with inversion:
            return inversion.minimise(method, max_iterations=12, **options)


if __name__ == "__main__":
    found = run(sys.argv[1], sys.argv[2])
    np.savez(
        sys.argv[3],
        x=found.x,
        cost=found.cost,
        iterations=found.iterations,
        evaluations=len(found.history),
        replayed=found.replayed,
    )
