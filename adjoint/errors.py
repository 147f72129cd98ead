"""The errors a user can meet, each also one of Python's own.

A message carries the offending value and, where they are known, the step, the action and the
rank, and says what to do about it.
"""

__all__ = [
    "AdjointError",
    "ArgumentError",
    "NonFiniteError",
    "RunInterruptedError",
    "ScheduleError",
    "SnapshotFileError",
    "SolveError",
    "StepperError",
    "TransferError",
]


class AdjointError(Exception):
    """What all errors of this package have in common."""


class ArgumentError(AdjointError, ValueError):
    """An argument that cannot be met: a budget too small, ranks that disagree, a bad value."""


class ScheduleError(AdjointError, ValueError):
    """A schedule that cannot be made, or a stream of actions that is not a correct reversal."""


class StepperError(AdjointError, TypeError):
    """A stepper that breaks its protocol: a shape, a dtype or a name is not what it must be."""


class NonFiniteError(AdjointError, ArithmeticError):
    """A cost or a state that is infinite or not a number."""


class SnapshotFileError(AdjointError, OSError):
    """A snapshot file that cannot be made, is not ours, or is another problem's."""


class RunInterruptedError(AdjointError, RuntimeError):
    """A run that was told to end by a signal, and has saved what a resumed run needs."""


class SolveError(AdjointError, ArithmeticError):
    """A linear or nonlinear solver that did not converge."""


class TransferError(AdjointError, OSError):
    """A write to, or a read from, the snapshot file that failed."""
