"""A model that keeps something besides its state is refused, with its name and the step."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import HIDDEN, INPUTS, LEAF_STEPS, NUM_STEPS, Model  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402
from adjoint.schedules import Revolve  # noqa: E402


class Wrapped(nn.Module):
    """A GRU cell with something before it."""

    def __init__(self, before):
        super().__init__()
        self.before = before
        self.cell = nn.GRUCell(INPUTS, HIDDEN, dtype=torch.float64)

    def forward(self, inputs, state):
        return self.cell(self.before(inputs), state)


class Counting(nn.Module):
    """Counts its steps in a buffer, from some step on."""

    def __init__(self, first, replace):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.calls, self.first, self.replace = 0, first, replace

    def forward(self, inputs):
        self.calls += 1
        if self.calls > self.first:
            if self.replace:
                self.count = self.count + 1
            else:
                self.count += 1
        return inputs


class Remembering(nn.Module):
    """Keeps something where nobody looks."""

    factor = 1.0

    def forward(self, inputs):
        self.factor *= 1.001
        return inputs * self.factor


def sequence_of(before, **options):
    model = Model("GRUCell")
    model.cell = Wrapped(before)
    return model.sequence(**options)


def batch_norm():
    return nn.BatchNorm1d(INPUTS, dtype=torch.float64)


def test_statistics_of_a_batch_normalisation():
    norm = batch_norm()
    with sequence_of(norm) as sequence:
        for evaluate in (sequence.backward, sequence.loss):
            with pytest.raises(StepperError, match=r"step 0 wrote .*'cell.before.num_batches_tra"):
                evaluate()
        assert norm.num_batches_tracked == 0
        assert not norm.running_mean.any()
        norm.eval()
        assert sequence.backward() == sequence.loss()


def test_statistics_written_without_a_version_count():
    """Torch's kernel does not count its writes to `running_mean`."""
    norm = batch_norm()
    norm.num_batches_tracked = None
    norm.momentum = 0.1
    with sequence_of(norm) as sequence:
        with pytest.raises(StepperError, match=r"\[0, 5\) wrote .*'cell.before.running_mean'"):
            sequence.backward()
        assert not norm.running_mean.any()


def test_batch_normalisation_without_running_statistics_is_accepted():
    norm = nn.BatchNorm1d(INPUTS, dtype=torch.float64, track_running_stats=False)
    with sequence_of(norm) as sequence:
        assert sequence.backward() == sequence.loss()


@pytest.mark.parametrize("replace", [False, True])
def test_a_buffer_of_the_users_module(replace):
    # Three trials of the first leaf, then 7 steps.
    with (
        sequence_of(Counting(3 * 5 + 7, replace)) as sequence,
        pytest.raises(StepperError, match=r"step 7 wrote the buffer 'cell.before.count'"),
    ):
        sequence.loss()


def test_a_buffer_that_is_turned_on_by_a_change_of_mode():
    norm = batch_norm().eval()
    with sequence_of(norm) as sequence:
        sequence.backward()
        norm.train()
        with pytest.raises(StepperError, match="num_batches_tracked"):
            sequence.backward()


def test_a_hidden_state_outside_of_buffers():
    with (
        sequence_of(
            Remembering(), schedule=Revolve(NUM_STEPS, 1, leaf_steps=LEAF_STEPS)
        ) as sequence,
        pytest.raises(StepperError, match="taken again"),
    ):
        sequence.backward()


def test_a_parameter_that_would_get_no_gradient():
    model = Model("function")
    with (
        model.sequence(modules=model.module) as sequence,
        pytest.raises(StepperError, match=r"shape \(3.*modules="),
    ):
        sequence.backward()
