"""Arrays are named, shaped and laid out as the protocol asks; capabilities are those promised."""

import pytest
from every_stepper import every_stepper

from adjoint.steppers import Capabilities, Stepper
from adjoint.steppers.checks import check_stepper


def test_it_is_a_stepper_that_the_driver_takes(stepper):
    assert isinstance(stepper, Stepper)
    check_stepper(stepper)


def test_it_is_reproducible_and_adopts_memory_if_it_says_so(case, stepper):
    has = Capabilities.of(stepper)
    assert has.reproducible
    assert (has.adopting is not None) == case.adopts


def test_it_shows_its_tapes_if_it_says_so(case, stepper):
    assert Capabilities.of(stepper).shows_tapes == case.shows_tapes


def test_gradients_are_shaped_as_controls(stepper):
    assert set(stepper.adjoint) <= set(stepper.state)
    assert set(stepper.accumulators) == set(stepper.controls)
    for name, control in stepper.controls.items():
        assert stepper.accumulators[name].shape == control.shape


def test_arrays_are_contiguous(stepper):
    for arrays in (stepper.state, stepper.adjoint, stepper.controls, stepper.accumulators):
        assert all(array.flags.c_contiguous for array in arrays.values())


@pytest.mark.parametrize("case", every_stepper(adopts=True))
def test_arrays_of_one_that_adopts_memory_begin_on_a_cache_line(stepper):
    for arrays in (stepper.state, stepper.adjoint, stepper.accumulators):
        for name, array in arrays.items():
            assert array.ctypes.data % 64 == 0 or name == "seed", name


def test_a_tape_of_more_steps_is_no_smaller(stepper, ends):
    sizes = [Capabilities.of(stepper).tape_bytes(end) for end in ends[1:]]
    assert sizes[0] >= 0
    assert sizes == sorted(sizes)
