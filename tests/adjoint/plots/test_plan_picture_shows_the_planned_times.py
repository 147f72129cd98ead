"""The curve of each family shows the planner's times, and the star marks the plan chosen."""

import numpy as np
import pytest

from adjoint.reporting.plan_table import PlanRequest
from adjoint.schedules.costs import Costs

Figure = pytest.importorskip("matplotlib.figure").Figure
plots = pytest.importorskip("adjoint.plots.plan")

MIB = 1 << 20
COSTS = Costs(advance=1.0, pull_back=2.0, write=0.5, read=0.5)


def drawn(request):
    """Return the lines by label, and the seconds of the unit that times are drawn in."""
    axes = Figure().subplots()
    plots.draw_plans(axes, request)
    unit = {"predicted time, s": 1, "predicted time, min": 60}[axes.get_ylabel()]
    return {line.get_label(): line for line in axes.get_lines()}, unit


@pytest.mark.parametrize("disk", [0, None], ids=["in memory", "with a file"])
@pytest.mark.parametrize("num_steps", [1, 2, 40, 300])
def test_curves(disk, num_steps):
    request = PlanRequest(num_steps, MIB, 20 * MIB, COSTS, tape_bytes=MIB, disk_bytes=disk)
    lines, unit = drawn(request)
    chosen, plans = request.plans(20 * MIB)
    (memory,), (time,) = lines["chosen at 20.0 MiB"].get_data()
    assert (memory, time * unit) == (20 * MIB, pytest.approx(chosen.predicted_seconds))
    for plan in plans:
        memory, time = map(np.asarray, lines[plan.family].get_data())
        assert time[memory == 20 * MIB] * unit == pytest.approx(plan.predicted_seconds)
        assert (np.diff(memory) > 0).all()


def test_the_curves_go_from_one_slot_to_every_state():
    request = PlanRequest(40, MIB, 20 * MIB, COSTS, tape_bytes=MIB)
    lines, _unit = drawn(request)
    drawn_for = np.concatenate([np.asarray(line.get_xdata()) for line in lines.values()])
    assert drawn_for[drawn_for > 1].min() == 2 * MIB
    assert drawn_for.max() == 41 * MIB
