"""One process, without MPI, reads back what each rank of a run has written."""

import numpy as np
import pendulums

import adjoint
from adjoint import cli
from adjoint.schedules import Asynchronous

RANKS = (3,)
STEPS = 40


def test_every_rank(comm, tmp_path, capsys):
    path = tmp_path / "run.h5"
    schedule = Asynchronous(STEPS, 8, 10)
    model = pendulums.SharedPendulums(700, STEPS, comm)
    adjoint.gradient(model, STEPS, comm=comm, file=path, schedule=schedule)
    model.start()
    model.advance(0, 20)
    expected = comm.gather(model.state["u"].copy())
    if comm.rank == 0:
        with adjoint.open_snapshots(path) as snapshots:
            assert snapshots.num_ranks == comm.size
            assert 20 in snapshots
            for read, right in zip(snapshots.parts(20, "u"), expected, strict=True):
                np.testing.assert_array_equal(read, right)
        assert cli.main(["inspect", str(path), "--verify"]) == 0
        assert "checksums  match for all of" in capsys.readouterr().out
    comm.Barrier()
