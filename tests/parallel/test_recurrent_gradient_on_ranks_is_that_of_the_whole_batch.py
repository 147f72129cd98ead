"""A batch distributed over ranks has the cost and gradient of the whole batch."""

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from recurrent_unrolled import Problem

import adjoint
from adjoint.schedules import Multistage
from adjoint.verification import taylor_test
from solvers.sequences import common_num_steps

RANKS = (1, 3)

LENGTHS = (20, 7, 13, 4, 20, 9)
WHOLE = Problem("lstm", 2, 20, len(LENGTHS), 3, 5, lengths=LENGTHS, classes=4)


def part(comm, **options):
    """Return the network of this rank's sequences, without data after the longest of them."""
    mine = slice(comm.rank, None, comm.size)
    data, lengths = WHOLE.data(), LENGTHS[mine]
    given = {
        "batch": len(lengths),
        "lengths": lengths,
        "inputs": data["inputs"][: max(lengths), mine],
        "targets": data["targets"][: max(lengths), mine],
        "final_targets": data["final_targets"][mine],
    }
    network = WHOLE.network(leaf_steps=4, **given, **options)
    whole = WHOLE.network().controls
    for name in ("h0", "c0"):
        network.controls[name][...] = whole[name][:, mine]
    return network, mine, common_num_steps(max(lengths), comm)


def test_cost_and_gradient(comm):
    expected = adjoint.gradient(WHOLE.network(leaf_steps=4), 20, comm=MPI.COMM_SELF)
    network, mine, num_steps = part(comm)
    assert num_steps == 20
    result = adjoint.gradient(network, num_steps, comm=comm)
    assert result.cost == pytest.approx(expected.cost, rel=1e-14)
    for name, gradient in expected.gradient.items():
        own = gradient[:, mine] if name in network.distributed else gradient
        np.testing.assert_allclose(result.gradient[name], own, rtol=0, atol=1e-13, err_msg=name)


def test_states_of_all_ranks_are_in_one_file(comm, tmp_path):
    network, _, num_steps = part(comm)
    in_memory = adjoint.gradient(network, num_steps, comm=comm)
    path = tmp_path / "run.h5"
    schedule = Multistage(num_steps, 1, 3, leaf_steps=4)
    result = adjoint.gradient(network, num_steps, comm=comm, file=path, schedule=schedule)
    assert result.cost == in_memory.cost
    for name, gradient in in_memory.gradient.items():
        assert result.gradient[name].tobytes() == gradient.tobytes(), name
    states = comm.allgather(sum(array.nbytes for array in network.state.values()))
    if comm.rank == 0:
        assert [file.name for file in tmp_path.iterdir()] == ["run.h5"]
        with h5py.File(path, "r") as file:
            assert file["snapshots"].shape[1] >= sum(states)
    comm.barrier()


def test_taylor(comm):
    network, _, num_steps = part(comm)
    with adjoint.Functional(network, num_steps, comm=comm) as functional:
        assert taylor_test(functional).passed
