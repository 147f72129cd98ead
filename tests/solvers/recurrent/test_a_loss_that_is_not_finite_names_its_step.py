"""A loss that is not finite is an error that names the first step at which it is not."""

import numpy as np
import pytest
from recurrent_unrolled import Problem

import adjoint

PROBLEM = Problem("lstm", num_steps=30)


@pytest.mark.parametrize(
    ("name", "bad"),
    [("inputs", np.nan), ("targets", np.nan), ("targets", np.inf), ("targets", 1e200)],
)
def test_the_step_of_bad_data_is_named(name, bad):
    data = PROBLEM.data()[name]
    data[17, 1] = bad
    network = PROBLEM.network(leaf_steps=4, **{name: data})
    with pytest.raises(adjoint.NonFiniteError, match="in step 17"):
        adjoint.gradient(network, 30)
    with (
        adjoint.Functional(network, 30) as functional,
        pytest.raises(adjoint.NonFiniteError, match="first in step 17"),
    ):
        functional.value()
    assert network.first_non_finite == 17


def test_a_final_loss_is_one_of_the_last_step():
    network = PROBLEM.network(final_targets=np.full((3, 2), np.inf))
    with pytest.raises(adjoint.NonFiniteError, match="30"):
        adjoint.gradient(network, 30)
    assert network.first_non_finite == 30


def test_it_can_be_evaluated_again_afterwards():
    network = PROBLEM.network()
    expected = adjoint.gradient(network, 30).cost
    with adjoint.Functional(network, 30) as functional:
        weights = network.controls["readout.weight"].copy()
        with pytest.raises(adjoint.NonFiniteError):
            functional.value_and_gradient({"readout.weight": np.nan * weights})
        assert network.first_non_finite == 0
        assert functional.value_and_gradient({"readout.weight": weights})[0] == expected
