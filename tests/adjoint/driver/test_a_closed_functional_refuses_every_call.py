"""After `close` a `Functional` says so, makes no file, and can be closed again."""

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.errors import CallError
from adjoint.schedules import Asynchronous

NUM_STEPS = 20


@pytest.mark.parametrize("has_run", [False, True])
def test_calls_after_close(has_run, tmp_path):
    schedule = Asynchronous(NUM_STEPS, 4, 3)
    with adjoint.Functional(
        Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=schedule, file=tmp_path
    ) as functional:
        if has_run:
            functional.value_and_gradient()
    for call in (
        functional.plan,
        functional.value,
        functional.value_and_gradient,
        lambda: functional.schedule,
    ):
        with pytest.raises(CallError, match="closed"):
            call()
    functional.close()
    assert not list(tmp_path.iterdir())
    assert (functional.report is not None) == has_run
