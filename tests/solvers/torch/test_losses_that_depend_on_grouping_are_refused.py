"""The loss of a row is that of the row alone: batch statistics and means are refused."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import HIDDEN, LENGTHS, Model  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402


class Head(nn.Module):
    """A read-out with something before it, and dropout."""

    def __init__(self, before, dropout=0.0):
        super().__init__()
        self.before, self.dropout = before, nn.Dropout(dropout)
        self.layer = nn.Linear(HIDDEN, 3)

    def forward(self, outputs, targets):
        logits = self.layer(self.dropout(self.before(outputs)))
        return nn.functional.cross_entropy(logits, targets, reduction="none")


def statistics():
    return nn.BatchNorm1d(HIDDEN, track_running_stats=False)


def mean(outputs, targets):
    return outputs.square().sum(1) / len(targets)


def centred(outputs, targets):
    return (outputs - outputs.mean(0)).square().sum(1)


REFUSED = [Head(statistics()), Head(statistics(), 0.5), mean, centred]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("loss", REFUSED, ids=["norm", "norm and dropout", "mean", "centred"])
def test_a_loss_that_mixes_rows(loss, lengths, dtype):
    model = Model("GRUCell", dtype, lengths=lengths)
    if isinstance(loss, nn.Module):
        loss.to(dtype)
    with (
        model.sequence(loss=loss) as sequence,
        pytest.raises(StepperError, match="grouped with"),
    ):
        sequence.backward()


def test_under_autocast():
    model = Model("GRUCell", torch.float32)
    with (
        model.sequence(loss=Head(statistics())) as sequence,
        torch.autocast("cpu"),
        pytest.raises(StepperError, match="grouped with"),
    ):
        sequence.backward()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("cast", [False, True])
def test_a_layer_normalisation_is_taken(dropout, cast):
    model = Model("GRUCell", torch.float32)
    loss = Head(nn.LayerNorm(HIDDEN), dropout)
    with model.sequence(loss=loss) as sequence, torch.autocast("cpu", enabled=cast):
        torch.manual_seed(1)
        value = sequence.backward()
        torch.manual_seed(1)
        assert sequence.loss() == value


def test_in_one_mode_but_not_in_the_other():
    model = Model("GRUCell")
    norm = nn.BatchNorm1d(HIDDEN, dtype=torch.float64).eval()
    loss = Head(norm).double().eval()
    with model.sequence(loss=loss) as sequence:
        sequence.backward()
        norm.train()
        with pytest.raises(StepperError):
            sequence.backward()
        norm.eval()
        sequence.backward()
