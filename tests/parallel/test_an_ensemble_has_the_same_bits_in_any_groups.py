"""Sums over members have the same bits for any number of groups; a failure names its member."""

from contextlib import contextmanager

import numpy as np
import pytest
from inverse_problems import CELLS, NUM_STEPS, Reaction
from pendulums import SharedPendulums

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.inverse import Ensemble, EvaluationLog, Inversion, Log, Tikhonov, Unknown

RANKS = (4,)
MEMBERS = np.random.default_rng(5).random((12, CELLS))


@contextmanager
def part_of(comm, size):
    """Yield a communicator of the first ranks, None on the others."""
    own = comm.Split(int(comm.rank < size))
    yield own if comm.rank < size else None
    own.Free()


def load(stepper, member):
    stepper.data = member


def reactions(comm):
    def make(group):
        return adjoint.Functional(Reaction(), NUM_STEPS, comm=group, memory="1 MiB")

    return Ensemble(make, MEMBERS, load=load, comm=comm)


def bits(*mappings):
    return [{name: array.tobytes() for name, array in each.items()} for each in mappings]


def evaluated(ensemble, direction):
    cost, gradient = ensemble.value_and_gradient()
    products = ensemble.second_order({"m": direction}).products
    return [cost.hex(), ensemble.value().hex(), *bits(gradient, products), ensemble.fingerprint()]


def test_one_rank_a_member(comm):
    direction = np.random.default_rng(6).random((2, CELLS))
    found = []
    for size in (1, 2, 4):
        with part_of(comm, size) as part:
            if part is not None:
                with reactions(part) as ensemble:
                    found.append(evaluated(ensemble, direction))
    assert all(each == found[0] for each in found)
    assert len(found) == (3 if comm.rank == 0 else 2 if comm.rank == 1 else 1)
    assert comm.bcast(found[0]) == found[0]
    total = 0.0
    for member in MEMBERS:
        stepper = Reaction(member)
        stepper.start()
        total += stepper.turn(stepper.advance(0, NUM_STEPS, cost=0.0))
    assert float.fromhex(found[0][0]) == pytest.approx(total, rel=1e-14)


def test_two_ranks_a_member(comm):
    found = []
    for size in (2, 4):
        with part_of(comm, size) as part:
            if part is None:
                continue

            def make(group):
                return adjoint.Functional(SharedPendulums(2, 12, group), 12, comm=group)

            def turned(stepper, member):
                stepper.sign = member

            members = range(5)
            with Ensemble(make, members, load=turned, comm=part, ranks_per_member=2) as ensemble:
                cost, gradient = ensemble.value_and_gradient()
                found.append([cost.hex(), *bits(gradient)])
    assert all(each == found[0] for each in found)


def test_an_inversion(comm, tmp_path):
    log = comm.bcast(str(tmp_path / "log"))
    found = []
    for _ in range(2):
        with (
            reactions(comm) as ensemble,
            Inversion(
                ensemble,
                [Unknown("m", transform=Log())],
                terms={"m": Tikhonov(1.0)},
                log=EvaluationLog(log),
            ) as inversion,
        ):
            found.append(inversion.minimise("Newton-CG", max_iterations=3, gauss_newton=True))
        comm.barrier()
    assert found[0].x.tobytes() == found[1].x.tobytes()
    assert found[1].replayed == len(found[1].history)
    assert found[0].cost < found[0].history[0].cost


def test_failures_name_the_member(comm):
    with reactions(comm) as ensemble:
        controls = ensemble.stepper.controls

        def lost(stepper, member):
            if member is ensemble.members[7]:
                raise FileNotFoundError("no data of the seventh")
            stepper.data = member

        ensemble._load = lost
        with pytest.raises(ArgumentError, match=r"member 7.*no data of the seventh"):
            ensemble.value()
        ensemble._load = lambda stepper, member: controls["k"].fill(
            np.nan if member is ensemble.members[7] else 2.0
        )
        with pytest.raises(NonFiniteError, match="member 7"):
            ensemble.value_and_gradient()
        ensemble._load = load
        controls["k"].fill(2.0)
        assert np.isfinite(ensemble.value())


def test_what_is_refused(comm):
    with pytest.raises(ArgumentError, match="do not form groups"):
        Ensemble(lambda group: None, MEMBERS, load=load, comm=comm, ranks_per_member=3)
    with pytest.raises(ArgumentError, match="at least one member"):
        Ensemble(lambda group: None, [], load=load, comm=comm)
