"""Wrong data and sizes are refused with an error that says what is wrong, and at which steps."""

import numpy as np
import pytest
from recurrent_unrolled import Problem

import adjoint
from adjoint import ArgumentError, StepperError
from solvers.recurrent import CrossEntropy, SquaredError
from solvers.sequences import Lengths

PROBLEM = Problem("gru", num_steps=10)
DATA = PROBLEM.data()


def refused(match: str, error=ArgumentError, **options):
    num_steps = options.pop("num_steps", 10)
    with pytest.raises(error, match=match):
        adjoint.gradient(PROBLEM.network(**options), num_steps)


def test_too_few_rows():
    refused("inputs has 10 rows: there is none for step 10", num_steps=11)
    refused("targets has 4 rows: there is none for step 4", targets=DATA["targets"][:4])


def test_rows_of_another_shape_or_type():
    refused(r"steps \[0, 3\) have rows of shape \(2, 2\)", inputs=DATA["inputs"][:, :2])
    refused(r"shape \(3, 2\) and dtype complex128", inputs=1j * DATA["inputs"])
    refused("complex128.* must be real", targets=1j * DATA["targets"])
    refused(r"targets have rows of shape \(3, 1\)", targets=DATA["targets"][..., :1])
    refused("list: give an array", inputs=[[1.0]])
    refused("first axis must be the step", inputs=np.array(1.0))


def test_functions_that_return_the_wrong_rows():
    rows = DATA["inputs"]
    refused(r"steps \[3, 6\) has shape", StepperError, inputs=lambda i, j: rows[i : min(j, 5)])
    refused("of type list", StepperError, inputs=lambda i, j: rows[i:j].tolist())
    late = r"steps \[6, 9\) has rows .* float32; earlier rows had shape \(3, 2\) and dtype float64"
    refused(late, StepperError, inputs=lambda i, j: rows[i:j].astype("f4" if i > 5 else "f8"))


def test_classes_that_do_not_exist():
    for bad in (-1, 7):
        targets = np.full((10, 3), bad)
        refused(
            f"between {bad} and {bad}, but there are 5", targets=targets, loss=CrossEntropy(3, 5)
        )
    refused("must be integers", loss=CrossEntropy(3, 5))


def test_padding_may_hold_anything():
    problem = Problem("lstm", num_steps=10, lengths=(2, 10, 5), classes=3)
    assert np.isfinite(adjoint.gradient(problem.network(), 10).cost)


def test_lengths():
    refused(r"lengths has shape \(2,\)", lengths=[3, 4])
    refused("must be integers", lengths=[1.0, 2.0, 3.0])
    refused("sequence 1 has the negative length -2", lengths=[1, -2, 3])
    refused("sequence 2 has 10 steps, but the run takes only 8", lengths=[1, 2, 10], num_steps=8)
    with pytest.raises(ArgumentError, match="batch is empty"):
        Lengths.of(np.zeros(0, int), 0)


@pytest.mark.parametrize("name", ["batch", "hidden_size", "input_size", "num_layers"])
def test_sizes(name):
    with pytest.raises(ArgumentError, match=f"{name}=0: must be at least one"):
        Problem("tanh").network(**{name: 0})


def test_losses():
    refused("targets was given without loss", loss=None)
    refused("final_loss was given without final_targets", final_targets=None)
    refused(
        "readout.weight has dtype float32 but the network float64",
        loss=SquaredError(3, 2, dtype="f4"),
    )
    refused("constructed with hidden_size=5", loss=SquaredError(5, 2))
    refused("dtype must be float64 or float32, not float16", dtype=np.float16)
    with pytest.raises(ArgumentError, match="both must be at least one"):
        SquaredError(4, 0)
    with pytest.raises(ArgumentError, match="scale must be finite"):
        SquaredError(4, 1, scale=np.inf)
