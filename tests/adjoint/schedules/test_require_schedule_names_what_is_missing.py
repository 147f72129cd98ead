"""`require_schedule` refuses what is not a schedule, and names what is missing."""

import pytest
from every_schedule import small_cases

from adjoint.errors import ArgumentError
from adjoint.schedules import Revolve, require_schedule
from adjoint.schedules.actions import Advance

MEMBERS = ("num_steps", "leaf_steps", "num_slots", "num_tapes", "tape_slots", "file_states")


class OwnSchedule:
    """A schedule as a user may write one: without a base class."""

    num_steps, leaf_steps, num_slots, num_tapes, tape_slots, file_states = 7, 1, 2, 1, 0, 0

    def __iter__(self):
        return iter(Revolve(7, 2))


@pytest.mark.parametrize("value", ["Revolve", [Advance(0, 1)], 3, None, object()])
def test_what_is_no_schedule_at_all(value):
    with pytest.raises(ArgumentError, match=r"is not a schedule: give .*Revolve\(num_steps, num_s"):
        require_schedule(value)


@pytest.mark.parametrize("missing", [*MEMBERS, "__iter__"])
def test_an_object_that_lacks_one_member(missing):
    members = {name: value for name, value in vars(OwnSchedule).items() if name != missing}
    with pytest.raises(ArgumentError, match=f"it lacks {missing};"):
        require_schedule(type("Lacking", (), members)())


def test_a_class_instead_of_an_instance():
    with pytest.raises(ArgumentError, match=r"the class Revolve: give an instance, Revolve\("):
        require_schedule(Revolve)


@pytest.mark.parametrize("value", [2.5, "3", None, lambda: 3])
def test_a_member_that_is_not_an_integer(value):
    schedule = OwnSchedule()
    schedule.num_slots = value
    with pytest.raises(ArgumentError, match=r"num_slots of the schedule .* must be an integer"):
        require_schedule(schedule)


def test_the_error_is_short_whatever_the_value():
    with pytest.raises(ArgumentError) as refused:
        require_schedule([Advance(step, step + 1) for step in range(10_000)])
    assert len(str(refused.value)) < 400


def test_every_schedule_is_accepted_and_returned():
    own = OwnSchedule()
    assert require_schedule(own) is own
    for schedule in small_cases(max_steps=5, max_slots=3):
        assert require_schedule(schedule) is schedule
