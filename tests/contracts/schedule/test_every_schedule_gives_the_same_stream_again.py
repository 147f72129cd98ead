"""Iterating twice, even at once, gives the same actions; so does a schedule made from its repr."""

from itertools import islice

from ended import Ended
from every_schedule import schedules, small_cases
from hypothesis import given

import adjoint.schedules
from adjoint.schedules.costs import Costs

NAMES = {**vars(adjoint.schedules), "Costs": Costs, "Ended": Ended}


@given(schedules())
def test_iterators_do_not_disturb_each_other(schedule):
    first = iter(schedule)
    begun = list(islice(first, 7))
    assert begun + list(first) == list(schedule)


def test_a_schedule_made_from_its_repr_gives_the_same_stream():
    for schedule in small_cases(max_steps=12, max_slots=4):
        assert list(eval(repr(schedule), NAMES)) == list(schedule), schedule
