"""A parameter, buffer or submodule that is replaced between calls is used, and gets a gradient."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import CLASSES, HIDDEN, Model, relative_error  # noqa: E402

from adjoint.errors import ArgumentError  # noqa: E402


def load_by_assignment(model):
    other = Model(model.kind, seed=4)
    model.module.load_state_dict(other.module.state_dict(), assign=True)


def assign_a_parameter(model):
    model.read_out.layer.weight = nn.Parameter(torch.randn_like(model.read_out.layer.weight) / 2)


def exchange_a_module(model):
    model.module.mix = nn.Linear(2 * HIDDEN, HIDDEN, dtype=torch.float64)


def add_a_module(model):
    layer = model.read_out.layer
    model.read_out.layer = nn.Sequential(layer, nn.Linear(CLASSES, CLASSES, dtype=torch.float64))


def unfreeze(model):
    model.module.leak.requires_grad_()


def weight_norm(model):
    nn.utils.parametrizations.weight_norm(model.module.mix)


def add_a_buffer(model):
    model.read_out.register_buffer("shift", torch.zeros(()))


@pytest.mark.parametrize(
    "change",
    [
        load_by_assignment,
        assign_a_parameter,
        exchange_a_module,
        add_a_module,
        unfreeze,
        weight_norm,
        add_a_buffer,
    ],
)
def test_its_gradient_is_that_of_autograd(change):
    model = Model("own")
    model.module.leak.requires_grad_(change is not unfreeze)
    with model.sequence() as sequence:
        sequence.backward()
        torch.manual_seed(0)
        change(model)
        tensors = model.differentiated
        for tensor in tensors:
            tensor.grad = None
        expected = torch.autograd.grad(model.loss(), tensors)
        value = sequence.backward()
    assert value == pytest.approx(model.loss().item(), rel=1e-13)
    assert relative_error([tensor.grad for tensor in tensors], expected) < 1e-12


def test_what_was_replaced_is_left_alone():
    model = Model("GRUCell")
    old = model.module.weight_hh
    with model.sequence() as sequence:
        sequence.backward()
        before = old.grad.clone()
        model.module.weight_hh = nn.Parameter(copy.deepcopy(old.detach()))
        sequence.backward()
    assert torch.equal(old.grad, before)


def test_a_file_that_may_be_resumed_from_has_room_for_the_first_parameters_only(tmp_path):
    model = Model("GRUCell")
    with model.sequence(file=tmp_path / "run.h5", resume=True) as sequence:
        sequence.backward()
        model.read_out.layer = nn.Linear(HIDDEN, CLASSES + 1, dtype=torch.float64)
        with pytest.raises(ArgumentError, match="with resume=True"):
            sequence.backward()


def test_a_parameter_that_left_the_cpu_is_refused():
    model = Model("GRUCell")
    with model.sequence() as sequence:
        sequence.backward()
        model.module.bias_hh = nn.Parameter(torch.empty(3 * HIDDEN, device="meta"))
        with pytest.raises(ArgumentError, match=r"cell\.bias_hh is on meta"):
            sequence.backward()
