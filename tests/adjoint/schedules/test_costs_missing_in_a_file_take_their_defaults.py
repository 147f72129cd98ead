"""Costs saved by another version load: missing ones take defaults, unknown ones are ignored."""

from adjoint.schedules.costs import Costs


def test_missing_and_unknown():
    noted = {"advance": 2, "write": 7.5, "slowdown": 1.25, "moonlight": 3.0}
    assert Costs.of_numbers(noted) == Costs(advance=2.0, write=7.5, slowdown=1.25)
