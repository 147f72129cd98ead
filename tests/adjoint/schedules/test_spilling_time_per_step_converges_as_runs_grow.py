"""What further steps take, each, no longer changes as the run grows: the overhead converges."""

import pytest

from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price


@pytest.mark.parametrize(
    ("slots", "transfer", "options"),
    [
        (4, 10, {}),
        (16, 50, {}),
        (4, 200, {"tail_slots": 2}),
        (16, 10, {"tape_slots": 1}),
        (64, 50, {"tape_slots": 1}),
    ],
)
def test_per_step(slots, transfer, options):
    costs = Costs(pull_back=1, unreached=1, write=transfer, read=transfer)

    def makespan(steps):
        return price(Spilling(steps, slots, transfer, costs=costs, **options), costs).makespan

    times = [makespan(steps) for steps in (2000, 4000, 8000, 16000)]
    first, second, third = (
        (times[k + 1] - times[k]) / (2000 * 2**k) for k in range(len(times) - 1)
    )
    assert second == pytest.approx(first, rel=0.005)
    assert third == pytest.approx(second, rel=0.005)
