"""Whatever fails on whichever rank, all ranks drop the same states and end with the same bits."""

import pytest
from disk_faults import failed

RANKS = (2, 3)

SEEDS = range(200, 204)


@pytest.fixture(scope="module")
def references():
    return {}


@pytest.mark.parametrize("seed", SEEDS)
def test_random_faults(seed, comm, tmp_path, references):
    trouble, name, faults, report = failed(seed, comm, tmp_path, references)
    assert trouble is None, (name, faults)
    assert len(set(comm.allgather(report.lost_states))) == 1
