"""Whether steps that are taken again lead to the same states and costs as the first time.

Checkpointing takes most steps more than once, and pulls back the last of what they gave. A step
that draws random numbers, counts its calls or keeps an array outside the state gives something else
each time, and a gradient that is the derivative of nothing. So states are compared by hashes:

* Every snapshot has a hash, from when it is stored until it is discarded, and so has the first
  state of the leaf that was reversed last. A state that an action leaves at such a step is compared
  with it. No step is taken for that.
* The end of a leaf is the first state of the leaf that was reversed before it. A stepper that
  always reaches that end while it records is compared there in every leaf. For any other, the last
  step of the second leaf of a reverse sweep and of one leaf in `LEAVES_PER_CHECK` is taken for
  that. (The first leaf is recorded in the forward sweep, up to its end.)
* The running total of the cost is compared like the state where it is known: a snapshot of the
  forward sweep keeps it, and the steps from there to a leaf that is checked add to it again.

A mark also says up to which step its state is known to have come about as it did the first time. So
an error names the steps between which the difference arose.
"""

from typing import NamedTuple

from adjoint.errors import ReplayError
from adjoint.parallel import Communicator
from adjoint.steppers.capabilities import Capabilities
from adjoint.storage.checksums import StateHash
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.state import SweepState

__all__ = ["NoCheck", "ReplayCheck"]

LEAVES_PER_CHECK = 64
"""Leaves of which the last step of one is taken only to be compared: of the steps that a long run
takes, less than half a per cent."""


class Mark(NamedTuple):
    """What is remembered of the state at some step."""

    bits: int
    """Hash of the state."""
    since: int
    """The last step at which its computation is known to agree with the first."""
    cost: float | None
    """This rank's running total of the cost up to there; None if it is not known."""


class NoCheck:
    """Stands for a `ReplayCheck` where nothing is compared."""

    compared = 0
    cost = leaf_cost = None

    def begin(self) -> None: ...

    def reached(self, step: int, cost: float | None, *, first_time: bool) -> None: ...

    def stored(self, step: int) -> None: ...

    def restored(self, step: int) -> None: ...

    def discarded(self, step: int) -> None: ...

    def begin_leaf(self, start: int, stop: int) -> bool:
        del start, stop
        return False

    def end_leaf(self, stop: int, cost: float | None, *, first_time: bool) -> None: ...

    def pulled_back(self, stop: int) -> None: ...


class ReplayCheck(NoCheck):
    """Compares what steps give that are taken again in one sweep. Keeps a mark for each snapshot.

    A difference is kept in the sweep's state until all ranks raise it together: at once on a single
    rank, else in the next leaf of those that all ranks check, or in an exchange before that.

    Parameters
    ----------
    stepper, buffers, store, state, comm
        Those of the sweep.
    """

    def __init__(
        self,
        stepper: Capabilities,
        buffers: Buffers,
        store: FileStore | None,
        state: SweepState,
        comm: Communicator,
    ) -> None:
        self.compared = 0
        """States that were compared so far."""
        self._buffers = buffers
        self._store = store
        self._state = state
        self._comm = comm
        self._reaches_stop = stepper.reaches_stop
        self._hash = StateHash(buffers.live)
        self._kept: dict[int, Mark] = {}
        """Marks of snapshots, by step."""
        self._starts: dict[int, Mark] = {}
        """Marks of the first states of tapes that are alive, and of the leaf reversed last."""
        self._leaves_left = 0
        """Leaves before the next whose end must be reached."""
        self._is_due = False
        """Whether the leaf being recorded is one of those that all ranks check."""
        self.begin()

    # -- the live state -------------------------------------------------------------------------

    def begin(self) -> None:
        """Take note of a live state that no action has made."""
        state = self._state
        self._bits: int | None = None
        self._since = state.position
        self._cost = state.cost if state.position == state.frontier else None

    def reached(self, step: int, cost: float | None, *, first_time: bool) -> None:
        """Take note of the live state at the end of steps; compare it if there is a mark for it."""
        self._bits, self._cost = None, cost
        if first_time:
            self._since = step
        else:
            expected = self._kept.get(step) or self._starts.get(step)
            if expected is not None:
                self._compare(step, expected)

    @property
    def cost(self) -> float | None:
        """The running total to be passed to steps that are taken again; None for no cost."""
        return self._cost if self._leaves_left <= 1 else None

    # -- snapshots ------------------------------------------------------------------------------

    def stored(self, step: int) -> None:
        """Mark the live state, which was stored."""
        self._kept[step] = self._mark(step)

    def restored(self, step: int) -> None:
        """Compare a snapshot that was made the live state with what was stored."""
        expected = self._kept.get(step)
        self._bits, self._cost, self._since = None, None, step
        if expected is None:  # a file had it from an earlier run
            self._kept[step] = self._mark(step)
            return
        _, self._since, self._cost = expected
        if self._mark(step).bits != expected.bits:
            self._fail(
                f"the snapshot of step {step} has changed{self._on_rank()} since it was stored: "
                "look for an array of a state that is written to after the call that it was "
                "given to, or by `restored`"
            )
        self.compared += 1

    def discarded(self, step: int) -> None:
        """Drop the mark of a snapshot if it is neither in a slot nor in the file any more."""
        if step not in self._buffers.slots and (self._store is None or step not in self._store):
            self._kept.pop(step, None)

    # -- leaves ---------------------------------------------------------------------------------

    @property
    def leaf_cost(self) -> float | None:
        """The running total to be passed to `record`; None for no cost."""
        return self._cost if self._reaches_stop else self.cost

    def begin_leaf(self, start: int, stop: int) -> bool:
        """Mark the live state, the first of a leaf; return whether its end must be reached."""
        self._starts[start] = self._mark(start)
        self._bits = None
        self._is_due = False
        if stop not in self._starts:
            return False
        self._is_due = self._leaves_left == 0
        self._leaves_left = LEAVES_PER_CHECK - 1 if self._is_due else self._leaves_left - 1
        return self._is_due or self._reaches_stop

    def end_leaf(self, stop: int, cost: float | None, *, first_time: bool) -> None:
        """Compare the end of a leaf that was reached. Collective once in `LEAVES_PER_CHECK`."""
        self.reached(stop, cost, first_time=first_time)
        if self._is_due:
            self._state.agree(self._comm)

    def pulled_back(self, stop: int) -> None:
        """Drop the mark of the leaf that begins at `stop`: no other leaf ends there."""
        self._starts.pop(stop, None)

    # -- inside ---------------------------------------------------------------------------------

    def _mark(self, step: int) -> Mark:
        """Return the mark of the live state."""
        if self._bits is None:
            self._bits = self._hash(self._buffers.live, step)
        return Mark(self._bits, self._since, self._cost)

    def _compare(self, step: int, expected: Mark) -> None:
        self.compared += 1
        found = self._mark(step)
        since = min(found.since, expected.since)
        if found.bits != expected.bits:
            self._fail(_difference("state", since, step, self._on_rank()))
        elif None not in (found.cost, expected.cost) and found.cost != expected.cost:
            self._fail(_difference("cost", since, step, self._on_rank()))
        else:
            self._since = max(found.since, expected.since)
            self._cost = expected.cost if found.cost is None else found.cost

    def _fail(self, message: str) -> None:
        self._state.keep_error(ReplayError(message))
        if self._comm.size == 1:
            self._state.agree(self._comm)

    def _on_rank(self) -> str:
        return f" on rank {self._comm.rank}" if self._comm.size > 1 else ""


def _difference(what: str, start: int, stop: int, on_rank: str) -> str:
    return (
        f"between steps {start} and {stop} the {what} came out differently{on_rank} when the steps "
        "were taken again: look for random numbers, counters, the time, and arrays kept beside the "
        "state (or left unwritten in it), since a step and its cost must depend on state, step and "
        "controls alone"
    )
