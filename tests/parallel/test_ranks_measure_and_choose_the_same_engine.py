"""Measured costs are those of the slowest rank, on every rank; so all choose the same engine."""

import os

import pytest
from throttled_engine import Throttle

from adjoint.errors import TransferError
from adjoint.measurement.engines import choose_engine
from adjoint.measurement.synthetic import opener, synthetic_probe
from adjoint.parallel import communicator
from adjoint.reporting.engine_table import probe_engines
from adjoint.storage.engines.registry import candidate_names

RANKS = (2,)


@pytest.fixture
def ranks(comm):
    ranks = communicator(comm)
    yield ranks
    ranks.free()


def survey(ranks, folder, engines):
    return synthetic_probe(20000, ranks).engines(engines, opener(folder, ranks), exhaustive=True)


def test_the_slowest_rank_counts(ranks, tmp_path):
    last = ranks.size - 1
    slow, fast = Throttle(0.04, 0.04, only_rank=last), Throttle(0.004, 0.004)
    found = survey(ranks, tmp_path, [slow, fast]).found
    assert found[slow].write_seconds >= 0.04
    assert found[slow].read_seconds >= 0.04
    assert found[fast].write_seconds < 0.04


def test_an_error_of_one_rank_is_raised_on_all(ranks, tmp_path):
    def broken(comm, placement):
        engine = Throttle()(comm, placement)
        if comm.rank == ranks.size - 1:
            engine._file.write = fail
        return engine

    def fail(row, block):
        raise OSError(5, "the disk is on fire")

    with pytest.raises(TransferError, match="on fire"):
        choose_engine(survey(ranks, tmp_path, [broken]))
    ranks.mpi.Barrier()
    assert not os.listdir(tmp_path)


def test_all_have_the_same_figures_and_the_same_choice(ranks, tmp_path):
    rows = probe_engines(tmp_path, [10000], ranks)
    engines = candidate_names(ranks)
    assert [row.engine for row in rows] == [*engines] * (len(rows) // len(engines))
    assert sum(row.used for row in rows) == len(rows) // len(engines)
    assert all(others == rows for others in ranks.gather(rows))
    ranks.mpi.Barrier()
    assert not os.listdir(tmp_path)
