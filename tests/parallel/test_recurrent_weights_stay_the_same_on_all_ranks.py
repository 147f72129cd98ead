"""Weights stay bitwise equal on all ranks over a hundred updates of data-parallel training."""

import numpy as np
from recurrent_unrolled import Problem

import adjoint

RANKS = (2,)

NUM_STEPS, UPDATES, RATE = 8, 100, np.float32(0.01)


def test_bitwise_after_a_hundred_updates(comm):
    problem = Problem("lstm", 1, NUM_STEPS, 2 + comm.rank, 3, 6, classes=4, seed=comm.rank)
    network = problem.network(np.float32, seed=3, leaf_steps=3)
    weights = [name for name in network.controls if name not in network.distributed]
    for name in weights:
        network.controls[name][...] = comm.bcast(network.controls[name])
    costs = []
    with adjoint.Functional(network, NUM_STEPS, comm=comm, memory="1 MiB") as functional:
        for _ in range(UPDATES):
            cost, gradient = functional.value_and_gradient()
            costs.append(cost)
            for name in weights:
                network.controls[name] -= RATE * gradient[name]
    assert costs[-1] < 0.95 * costs[0]
    for name in weights:
        bits = comm.allgather(network.controls[name].tobytes())
        assert bits == [bits[0]] * comm.size, name
