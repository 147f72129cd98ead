"""The errors that this package raises, each also one of Python's own.

A message contains the offending value and, where they are known, the step, the action and the rank,
and says what to do.
"""

__all__ = [
    "AdjointError",
    "ArgumentError",
    "CallError",
    "NonFiniteError",
    "ReplayError",
    "RunInterruptedError",
    "ScheduleError",
    "SnapshotFileError",
    "SolveError",
    "StepperError",
    "TransferError",
]


class AdjointError(Exception):
    """Base class of all errors of this package."""


class ArgumentError(AdjointError, ValueError):
    """An argument that cannot be used: a bad value, a budget too small, ranks that disagree."""


class CallError(AdjointError, RuntimeError):
    """A call that is not possible now: of a closed object, during another call, after a fork."""


class ScheduleError(AdjointError, ValueError):
    """A schedule with impossible parameters, or actions that are not a correct reversal."""


class StepperError(AdjointError, TypeError):
    """A stepper that breaks its protocol: a member, a name, a shape or a dtype is wrong."""


class ReplayError(StepperError):
    """A step that gave another state or another cost when it was taken again."""


class NonFiniteError(AdjointError, ArithmeticError):
    """A cost or a state that is infinite or not a number."""


class SnapshotFileError(AdjointError, OSError):
    """A snapshot file that cannot be created, or a file that is not one of this problem."""


class RunInterruptedError(AdjointError, RuntimeError):
    """A run that was ended by a signal, after it saved what a resumed run needs."""


class SolveError(AdjointError, ArithmeticError):
    """A linear or nonlinear solver that did not converge."""


class TransferError(AdjointError, OSError):
    """A write to the snapshot file, or a read from it, that failed."""
