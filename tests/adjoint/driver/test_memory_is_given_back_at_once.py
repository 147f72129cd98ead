"""When a gradient is done nothing holds its buffers, not even until the garbage collector runs."""

import gc
import weakref

import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Asynchronous


@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
@pytest.mark.parametrize("options", [{}, {"progress": True}])
def test_stepper_and_buffers_are_freed_by_reference_counts(kind, options, tmp_path):
    gc.disable()
    try:
        stepper = kind(3, 25)
        freed = weakref.ref(stepper)
        schedule = Asynchronous(25, 4, 5)
        result = adjoint.gradient(stepper, 25, schedule=schedule, file=tmp_path, **options)
        del stepper
        assert freed() is None
        assert result.cost > 0
    finally:
        gc.enable()
