"""Only `Spilling` and `TapesInFile` are adaptive; a schedule that merely has costs is not."""

from every_schedule import FAMILIES

from adjoint.schedules import AdaptiveSchedule, AdaptiveStream, ResumePoint, Revolve
from adjoint.schedules.costs import Costs

ADAPTIVE = "Spilling", "TapesInFile"


def test_every_family():
    for name, (cases, _draw) in FAMILIES.items():
        for schedule in cases(6, 1, 2):
            played = getattr(schedule, "schedule", schedule)
            assert isinstance(played, AdaptiveSchedule) == name.startswith(ADAPTIVE), schedule


def test_a_schedule_that_merely_has_costs():
    class Priced(Revolve):
        costs = Costs()

    assert not isinstance(Priced(9, 2), AdaptiveSchedule)


def test_a_schedule_of_ones_own():
    class Own(Revolve):
        costs = Costs()

        def resume_from(self, point):
            return AdaptiveStream()

        def recalibrated(self, costs, file_states, *, keep_ratios):
            return self

    assert isinstance(Own(9, 2), AdaptiveSchedule)


def test_a_resume_point_without_states_in_memory():
    assert ResumePoint([0, 4], live=8).in_memory == ()
