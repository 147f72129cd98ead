"""Hessian and Gauss-Newton products agree with autograd's through the whole unroll."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch_unrolled import KINDS, LENGTHS, NUM_STEPS, Model

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve
from solvers.torch import TorchSequence

pytestmark = pytest.mark.needs("torch")


def functional_of(model, steps=NUM_STEPS):
    for tensor in model.initial:
        tensor.requires_grad_()
    stepper = model.sequence().stepper
    return adjoint.Functional(stepper, steps, schedule=Revolve(steps, 2, leaf_steps=5))


def directions(stepper, count=2):
    rng = np.random.default_rng(4)
    return {name: rng.standard_normal((count, *c.shape)) for name, c in stepper.controls.items()}


def names_of(model, stepper):
    """Return the name of the control of each tensor: they share memory."""
    places = {c.ctypes.data: name for name, c in stepper.controls.items()}
    return [places[tensor.data_ptr()] for tensor in model.differentiated]


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("kind", KINDS)
def test_hessian(kind, lengths):
    model = Model(kind, lengths=lengths)
    with functional_of(model) as functional:
        stepper = functional.stepper
        given = directions(stepper)
        cost, gradient = functional.value_and_gradient()
        found = functional.second_order(given)
        names = names_of(model, stepper)
    assert found.cost == cost
    assert all(np.array_equal(found.gradient[k], g) for k, g in gradient.items())
    slopes = torch.autograd.grad(model.loss(), model.differentiated, create_graph=True)
    for index in range(2):
        along = [torch.as_tensor(given[name][index]) for name in names]
        expected = torch.autograd.grad(slopes, model.differentiated, along, retain_graph=True)
        for name, product in zip(names, expected, strict=True):
            right = product.numpy()
            scale = np.abs(right).max()
            np.testing.assert_allclose(
                found.products[name][index], right, rtol=0, atol=1e-12 * scale
            )


def test_gauss_newton():
    steps = 8
    model = Model("LSTM", num_steps=steps)
    with functional_of(model, steps) as functional:
        stepper = functional.stepper
        given = {name: each[0] for name, each in directions(stepper).items()}
        found = functional.gauss_newton_product(given)
        names = names_of(model, stepper)
    inner, reading = list(model.module.parameters()), list(model.read_out.parameters())
    moved = [torch.as_tensor(given[name]) for name in names]
    end = len(inner) + len(reading)
    leaves, along = [*inner, *model.initial], [*moved[: len(inner)], *moved[end:]]
    outputs = model.module(model.inputs, model.state)[0].flatten(0, 1)
    slope = torch.zeros_like(outputs).flatten()
    for index, entry in enumerate(outputs.flatten()):
        rows = torch.autograd.grad(entry, leaves, retain_graph=True)
        slope[index] = sum((row * v).sum() for row, v in zip(rows, along, strict=True))
    rows = outputs.detach().requires_grad_()
    loss = model.read_out(rows, model.targets.flatten()).sum()
    first = torch.autograd.grad(loss, [rows, *reading], create_graph=True)
    towards = [slope.detach().reshape(rows.shape), *moved[len(inner) : end]]
    bent = torch.autograd.grad(first, [rows, *reading], towards)
    back = torch.autograd.grad(outputs, leaves, bent[0])
    expected = [*back[: len(inner)], *bent[1:], *back[len(inner) :]]
    for name, product in zip(names, expected, strict=True):
        right = product.numpy()
        np.testing.assert_allclose(found[name], right, rtol=0, atol=1e-12 * np.abs(right).max())


def test_gauss_newton_needs_a_loss_of_outputs():
    with functional_of(Model("function")) as functional:
        given = {k: each[0] for k, each in directions(functional.stepper).items()}
        with pytest.raises(StepperError, match="let the cell return its output and its state"):
            functional.gauss_newton_product(given)


class Once(torch.autograd.Function):
    """A square that can be differentiated only once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class OnceCell(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, inputs, state):
        return torch.sin(Once.apply(self.rate * state + inputs))


def test_an_operator_without_second_derivatives_is_named():
    given = torch.ones(6, 2, dtype=torch.float64)
    sequence = TorchSequence(
        OnceCell(),
        loss=lambda outputs, targets: (outputs - targets) ** 2,
        inputs=given,
        targets=given,
        state=torch.ones(2, dtype=torch.float64),
    )
    with (
        adjoint.Functional(sequence.stepper, 6) as functional,
        pytest.raises(StepperError, match="an operator of the model has no second"),
    ):
        functional.hessian_product({"cell.rate": np.array(1.0)})
