"""Shallow water, for the stepper contract."""

from basins import basin
from stepper_case import Case

STEPPERS = {
    "shallow water, open": Case(basin),
    "shallow water, closed": Case(lambda: basin(open_sides=())),
}
