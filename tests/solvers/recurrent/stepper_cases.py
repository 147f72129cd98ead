"""Recurrent networks, for the stepper contract."""

from basins import NUM_STEPS
from recurrent_unrolled import Problem
from stepper_case import Case


def recurrent(cell, **options):
    """Return a network whose leaves may have any length."""
    problem = Problem(cell, num_steps=NUM_STEPS, **options)
    return Case(lambda: problem.network(leaf_steps=1), shows_tapes=True)


STEPPERS = {
    "tanh": recurrent("tanh"),
    "gru": recurrent("gru", num_layers=2, lengths=(12, 5, 9)),
    "lstm": recurrent("lstm", num_layers=2),
    "lstm, leaves of 3": Case(
        lambda: Problem("lstm", num_steps=3 * NUM_STEPS - 1).network(leaf_steps=3),
        num_steps=3 * NUM_STEPS - 1,
        shows_tapes=True,
    ),
}
