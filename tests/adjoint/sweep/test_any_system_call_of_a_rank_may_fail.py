"""Any system call of any rank may fail, fall short or be the last: no wrong gradient, no hang.

A sample; `tests/benchmarks/fault_campaign.py --ranks 2` takes more.
"""

import fault_ranks
import pytest

from tests.conftest import mpirun

pytestmark = pytest.mark.needs("mpi4py", "mpirun")

SEEDS = range(40, 44)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return fault_ranks.Campaign(tmp_path_factory.mktemp("ranks"), mpirun(), 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_right_or_refused_on_all_ranks_and_right_when_resumed(seed, campaign):
    point, outcome = campaign.play(seed, ["thread", "mpi"])
    assert not outcome.trouble, (point, outcome)
