"""Runs killed or ended by a signal at random moments, on 1 to 3 ranks, resume to the same bits.

The reference is the gradient for which every state is kept in memory, on as many ranks.
`tests/benchmarks/failing_disks_and_kills.py` does this hundreds of times.
"""

import pytest
from kill_campaign import KINDS, Campaign

from tests.conftest import mpirun

SEEDS = range(8)
"""Two of each of the `KINDS`."""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return Campaign(tmp_path_factory.mktemp("campaign"), mpirun())


@pytest.mark.needs("mpirun")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_kills(seed, campaign):
    assert len(SEEDS) % len(KINDS) == 0
    outcome = campaign.run(seed)
    assert outcome.ok, outcome
