"""Wrong data and arguments are refused with an error that names the step and says what to do."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import NUM_STEPS, Model  # noqa: E402

from adjoint.errors import ArgumentError, NonFiniteError, StepperError  # noqa: E402


@pytest.mark.parametrize("which", ["inputs", "targets"])
def test_too_few_rows(which):
    model = Model("GRUCell")
    short = {which: getattr(model, which)[:-4]}
    with pytest.raises(ArgumentError, match=f"{which} has 19 rows.*none for step 19"):
        model.sequence(num_steps=NUM_STEPS, **short)


def test_a_function_that_returns_too_few_rows():
    model = Model("GRUCell")
    options = {"inputs": lambda start, stop: model.inputs[start : min(stop, 12)]}
    with (
        model.sequence(num_steps=NUM_STEPS, **options) as sequence,
        pytest.raises(StepperError, match=r"inputs for the steps \[10, 15\)"),
    ):
        sequence.backward()
    with pytest.raises(ArgumentError, match="give num_steps="):
        model.sequence(**options)


def test_a_batch_that_is_too_long():
    model = Model("GRUCell")
    with model.sequence() as sequence:
        with pytest.raises(ArgumentError, match="24 steps, but the run takes only 23"):
            sequence.loss(inputs=model.inputs[[*range(23), 0]])
        with pytest.raises(ArgumentError, match="no input: it has"):
            sequence.loss(input=model.inputs)


@pytest.mark.parametrize("lengths", [(1, 2), (1, 2, 24), (1, 2, -3), (1.0, 2.0, 3.0)])
def test_wrong_lengths(lengths):
    with pytest.raises(ArgumentError, match=r"length|sequence"):
        Model("GRUCell").sequence(lengths=lengths)


@pytest.mark.parametrize("kind", ["GRUCell", "LSTM", "function"])
def test_a_loss_that_is_not_finite(kind):
    model = Model(kind)
    model.inputs[13, 1, 2] = torch.nan
    with model.sequence() as sequence:
        for evaluate in (sequence.loss, sequence.backward):
            with pytest.raises(NonFiniteError, match=r"cost .*nan.* in step 13"):
                evaluate()
    assert all(tensor.grad is None for tensor in model.differentiated)


@pytest.mark.parametrize("kind", ["GRUCell", "GRU"])
def test_a_loss_that_is_reduced(kind):
    model = Model(kind)
    with (
        model.sequence(loss=lambda outputs, targets: outputs.square().mean()) as sequence,
        pytest.raises(StepperError, match=r"\[0, 5\).*15 rows.*reduction=\"none\""),
    ):
        sequence.backward()


def test_losses_of_a_function():
    model = Model("function", lengths=(3, 4, 5))
    model.cell = lambda state, inputs, step: (state, state[0].sum())
    with (
        model.sequence(num_steps=5) as sequence,
        pytest.raises(StepperError, match="loss of step 0 has shape"),
    ):
        sequence.loss()
    model.cell = lambda state, inputs, step: (state, 1.0)
    with (
        model.sequence() as sequence,
        pytest.raises(StepperError, match="loss of step 0 is of type float"),
    ):
        sequence.loss()
    model.cell = lambda state, inputs, step: state[0]
    with (
        model.sequence() as sequence,
        pytest.raises(StepperError, match=r"returned Tensor: .*\(state, loss\)"),
    ):
        sequence.loss()


def test_a_final_loss_that_is_not_a_number():
    model = Model("GRUCell")
    with (
        model.sequence(final_loss=lambda state: state) as sequence,
        pytest.raises(StepperError, match="final_loss"),
    ):
        sequence.loss()


def test_a_bidirectional_module():
    with pytest.raises(ArgumentError, match="bidirectional"):
        model = Model("GRU")
        model.cell = torch.nn.GRU(4, 6, bidirectional=True)
        model.sequence()


def test_tensors_that_cannot_have_a_gradient():
    model = Model("GRUCell")
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    with pytest.raises(ArgumentError, match="result of a computation"):
        model.sequence(inputs=model.inputs * weight)
    with pytest.raises(ArgumentError, match="targets require a gradient"):
        model.sequence(targets=model.inputs.clone().requires_grad_())
    with pytest.raises(ArgumentError, match="leaf_steps=0"):
        model.sequence(leaf_steps=0)
