"""A search on two ranks with a file, a journal and a log, killed at random moments, and torn logs.

``python tests/oracles/killed_search.py 50`` does this for fifty kills.
"""

import pytest
from killed_search import METHODS, Campaign

from tests.conftest import mpirun


@pytest.mark.needs("mpirun")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "seed"), list(zip(METHODS, (1, 2), strict=True)))
def test_random_kills(method, seed, tmp_path):
    campaign = Campaign(tmp_path, mpirun())
    whole, killed = campaign.run(method, seed, most=2)
    assert killed == whole
