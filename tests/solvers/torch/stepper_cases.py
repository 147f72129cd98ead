"""PyTorch models, for the stepper contract."""

# ruff: noqa: PLC0415 (PyTorch may be absent)

from stepper_case import Case


def torch_sequence(kind):
    """Return a model in leaves of 2 steps, its sequences of unequal length."""
    from torch_unrolled import LENGTHS, Model

    return Model(kind, lengths=LENGTHS).sequence(leaf_steps=2).stepper


STEPPERS = {
    "torch, fused": Case(lambda: torch_sequence("LSTM"), 23, adopts=False, needs=("torch",)),
    "torch, cell": Case(lambda: torch_sequence("own"), 23, adopts=False, needs=("torch",)),
}
