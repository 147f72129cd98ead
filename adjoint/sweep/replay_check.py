"""Whether steps that are taken again lead to the same states and costs as the first time.

Checkpointing takes most steps more than once, and pulls back the last of what they gave. A step
that draws random numbers, counts its calls or keeps an array outside the state gives something else
each time, and a gradient that is the derivative of nothing. So states are compared by hashes:

* Every snapshot has a hash, from when it is stored until it is discarded. It is compared when a
  slot that was restored from is released, or when the file is read straight into the live state: a
  snapshot that has changed stays so. A state that steps lead to is compared if its step has a
  snapshot, or is the start of the leaf that was reversed last. No step is taken for that.
* The end of a leaf is the first state of the leaf that was reversed before it. A stepper that
  always reaches that end while it records is compared there in every leaf. For any other, the last
  step of some leaves is taken for that: of the second of a reverse sweep (the first ends the
  forward sweep), then of the next, and after twice as many each time, up to `MAX_GAP`.
* In a run that is resumed, the leaf that ends where a state of the file was is always compared, so
  that states of another problem are noticed.
* The running total of the cost is compared like the state where it is known: a snapshot of the
  forward sweep keeps it, and the steps from there to a leaf that is checked add to it again.

A mark also says up to which step its state is known to have come about as it did the first time. So
an error names the steps between which the difference arose.
"""

from adjoint.errors import ReplayError
from adjoint.parallel import Communicator
from adjoint.steppers.capabilities import Capabilities
from adjoint.storage.checksums import StateHash
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.state import SweepState

__all__ = ["NoCheck", "ReplayCheck"]

MAX_GAP = 64
"""The most leaves from one whose last step is taken only to be compared to the next such leaf. In a
long run these are less than half a per cent of all steps."""


Mark = tuple[int, int, float | None]
"""What is remembered of the state at some step: its hash; the last step at which its computation is
known to agree with the first; this rank's running total of the cost up to there, if it is known."""


class NoCheck:
    """Stands for a `ReplayCheck` where nothing is compared."""

    compared = 0
    cost: float | None = None
    leaf_cost: float | None = None

    def __init__(self) -> None:
        self.starts: dict[int, Mark] = {}

    def begin(self) -> None: ...

    def reached(self, step: int, cost: float | None, *, first_time: bool) -> None: ...

    def stored(self, step: int) -> None: ...

    def restored(self, step: int) -> None: ...

    def releasing(self, step: int) -> None: ...

    def dropping(self, step: int) -> None: ...

    def begin_leaf(self, start: int, stop: int, *, reach_stop: bool) -> bool:
        del start, stop
        return reach_stop

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
        self.starts: dict[int, Mark] = {}
        """Marks of first states of leaves: of tapes that are alive, and of the leaf reversed last.
        Not of all, where the next leaf is not compared."""
        self._buffers = buffers
        self._store = store
        self._state = state
        self._comm = comm
        self._reaches_stop = stepper.reaches_stop
        self._is_notified = stepper.restorable is not None
        self._hash = StateHash(buffers.live)
        self._slots = buffers.slots
        self._kept: dict[int, Mark] = {}
        """Marks of snapshots, by step."""
        self._used: set[int] = set()
        """Snapshots in slots that were restored, and are to be compared when these are released."""
        self._leaves_left = 0
        """Leaves before the next whose end must be reached."""
        self._gap = 1
        """Leaves from that one to the next such leaf."""
        self._is_due = False
        """Whether the leaf being recorded is one of those that all ranks check."""
        self.begin()

    # -- the live state -------------------------------------------------------------------------

    def begin(self) -> None:
        """Take note of a live state that no action has made, and of slots that may be others'."""
        state = self._state
        self._used.clear()
        store = () if self._store is None else self._store
        self._has_unknown = any(step not in self._kept for step in store)
        """Whether the file had states of an earlier run: where steps lead to the first leaf that
        was reversed after one, they are compared."""
        self._live: Mark | None = None
        self._since = state.position
        self.cost = self.leaf_cost = state.cost if state.position == state.frontier else None

    def reached(self, step: int, cost: float | None, *, first_time: bool) -> None:
        """Take note of the live state at the end of steps; compare it if there is a mark for it."""
        self._live, self.cost, self.leaf_cost = None, cost, cost
        if first_time:
            self._since = step
            return
        mark = self._kept.get(step) or self.starts.get(step)
        if mark is not None:
            self._compare(step, mark)

    # -- snapshots ------------------------------------------------------------------------------

    def stored(self, step: int) -> None:
        """Mark the live state, which was stored."""
        mark = self._live
        if mark is None:
            bits = self._hash.of(self._slots[step].arrays, step)
            mark = self._live = bits, self._since, self.leaf_cost
        self._kept[step] = mark

    def restored(self, step: int) -> None:
        """Take note of a snapshot that was made the live state; compare one of the file."""
        mark = self._kept.get(step)
        if mark is None:  # the file had it from an earlier run: compare the next leaf
            mark = self._kept[step] = self._hash.of(self._buffers.live, step), step, None
            self._leaves_left = 0
        self._live = mark
        _, self._since, cost = mark
        if self._leaves_left > 1:  # it is wanted neither for the next leaf nor for its end
            self.cost = None
            self.leaf_cost = cost if self._reaches_stop else None
        else:
            self.cost = self.leaf_cost = cost
        if self._is_notified or step not in self._slots:
            self._verify(step, self._hash.of(self._buffers.live, step))
        else:
            self._used.add(step)

    def releasing(self, step: int) -> None:
        """Compare a snapshot whose slot is to be released with what was stored."""
        if step in self._used:
            self._used.remove(step)
            self.compared += 1
            if self._hash.of(self._slots[step].arrays, step) != self._kept[step][0]:
                self._has_changed(step)
        if self._store is None or step not in self._store:
            self._kept.pop(step, None)

    def dropping(self, step: int) -> None:
        """Take note of a snapshot that is to be removed from the file."""
        if step not in self._slots:
            self._kept.pop(step, None)

    # -- leaves ---------------------------------------------------------------------------------

    def begin_leaf(self, start: int, stop: int, *, reach_stop: bool) -> bool:
        """Mark the first state of a leaf if need be; return whether its end must be reached."""
        is_comparable = stop in self.starts
        self._is_due = is_comparable and self._leaves_left == 0
        if self._is_due:
            self._leaves_left = self._gap - 1
            self._gap = min(MAX_GAP, 2 * self._gap)
        elif self._leaves_left:
            self._leaves_left -= 1
        if reach_stop or self._reaches_stop or self._has_unknown or not self._leaves_left:
            self.starts[start] = self._mark(start)
        return reach_stop or self._is_due or (self._reaches_stop and is_comparable)

    def end_leaf(self, stop: int, cost: float | None, *, first_time: bool) -> None:
        """Compare the end of a leaf that was reached. Collective if all ranks check it."""
        self.reached(stop, cost, first_time=first_time)
        if self._is_due:
            self._state.agree(self._comm)

    def pulled_back(self, stop: int) -> None:
        """Drop the mark of the leaf that begins at `stop`: no other leaf ends there."""
        self.starts.pop(stop, None)

    # -- inside ---------------------------------------------------------------------------------

    def _mark(self, step: int) -> Mark:
        """Return the mark of the live state."""
        if self._live is None:
            self._live = self._hash.of(self._buffers.live, step), self._since, self.leaf_cost
        return self._live

    def _verify(self, step: int, found: int) -> None:
        self.compared += 1
        if found != self._kept[step][0]:
            self._has_changed(step)

    def _has_changed(self, step: int) -> None:
        self._fail(
            f"the snapshot of step {step} has changed{self._on_rank()} since it was stored: look "
            "for an array of a state that is written to after the call that it was given to, or "
            "by `restored`"
        )

    def _compare(self, step: int, expected: Mark) -> None:
        self.compared += 1
        bits, since, cost = expected
        found, first = self._mark(step), min(self._since, since)
        if found[0] != bits:
            for used in sorted(self._used):  # one that has changed is the reason
                self._verify(used, self._hash.of(self._slots[used].arrays, used))
            self._fail(_difference("state", first, step, self._on_rank()))
        elif None not in (self.cost, cost) and self.cost != cost:
            self._fail(_difference("cost", first, step, self._on_rank()))
        self._since = max(self._since, since)
        self._live = found[0], self._since, found[2]

    def _fail(self, message: str) -> None:
        self._state.fail(ReplayError(message), self._comm)

    def _on_rank(self) -> str:
        return f" on rank {self._comm.rank}" if self._comm.size > 1 else ""


def _difference(what: str, start: int, stop: int, on_rank: str) -> str:
    return (
        f"between steps {start} and {stop} the {what} came out differently{on_rank} when the steps "
        "were taken again: look for random numbers, counters, the time, and arrays kept beside the "
        "state (or left unwritten in it), since a step and its cost must depend on state, step and "
        "controls alone"
    )
