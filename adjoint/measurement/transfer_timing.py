"""Timing for `adjoint.measurement.transfers`: a computation alone, and one beside transfers."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adjoint.parallel import Communicator, largest
from adjoint.storage.blocks import Block
from adjoint.storage.store import FileStore

__all__ = ["Beside", "Computation", "TransferTiming"]

LEAST_SECONDS = 0.01
"""A computation shorter than this is not timed well."""

LONG_SECONDS = 0.03
"""A transfer that takes this long is measured once."""

MOST_PAIRS = 5

PAIRS_SECONDS = 0.1
"""A computation is timed alone, and with transfers, so long, but `MOST_PAIRS` times at most."""

DOUBTED_PAIRS, DOUBTED_SLOWDOWN, DOUBTED_SECONDS = 3, 1.1, 0.2
"""A computation of at most so many seconds that was slowed more is timed so often: it may have been
something else that slowed it."""

MOST_LOST = 0.9
"""Computing that came to a halt altogether would be slowed infinitely: it is taken for this."""

MOST_STEP_TIME = 50
"""Of a computation so many times as long as its transfers, the noise is more than they are."""


@dataclass(frozen=True, slots=True)
class Computation:
    """Steps that can be timed, again and again, always the same ones."""

    run: Callable[[int, Callable[[], None]], None]
    """Takes so many steps, from the start, and calls what it is given between some of them."""
    step_seconds: float
    """What one step takes, on the slowest rank."""
    grid: int = 1
    """The fewest steps that are taken at once."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What one transfer took of a computation, in seconds, on the slowest rank."""

    post: float
    """In the call that posts it."""
    wait: float
    """In the wait for it, when the computation was done."""
    seen: float
    """All in all."""
    at_work: float
    """How long it was at work."""
    slowdown: float
    """How many times longer computing took while transfers were at work."""


@dataclass(slots=True)
class _Run:
    """One computation with transfers under way: seconds, on this rank."""

    count: int
    """How many transfers there were."""
    seconds: float
    """All of it."""
    post: float
    """In the call that posts one: in the shortest."""
    wait: float
    """In the wait for those that were not done in the end."""
    at_work: float
    """In which a transfer was."""


class TransferTiming:
    """A store whose transfers, "write" or "read", are timed. Every method is collective."""

    def __init__(
        self,
        store: FileStore,
        blocks: Sequence[Block],
        computation: Computation,
        comm: Communicator,
    ) -> None:
        self._store = store
        self._blocks = blocks
        self._computation = computation
        self._comm = comm
        self._rows = store.file.placement.rows
        self._posted = 0
        self._readable: list[int] = []

    def clear(self) -> None:
        """Give up every state, once no transfer is under way."""
        self._comm.agree(self._store.clear())
        self._readable.clear()

    def alone(self, what: str) -> float:
        """Return what one transfer takes, with nothing else going on; writes come first."""
        first = self._timed(what, 1)
        if first > LONG_SECONDS:
            return first
        count = max(1, self._rows // 8)
        return self._timed(what, count) / count

    def beside(self, what: str, seconds: float) -> Beside:
        """Return what transfers that take so long take of the computation."""
        count = self._count(seconds)
        wanted = max(LEAST_SECONDS, 2 * count * seconds)
        step, grid = max(self._computation.step_seconds, 1e-9), self._computation.grid
        steps = grid * math.ceil(wanted / step / grid)
        pairs = self._pairs(steps * step)
        # Among steps that are far longer than transfers, those are lost in the noise.
        tells = steps * step < MOST_STEP_TIME * count * seconds
        alone = math.inf
        runs: list[_Run] = []
        while True:
            alone = min(alone, self._computing(steps))
            runs.append(self._agreed(self._with_transfers(what, count, steps)))
            found = _found(runs, alone, tells=tells)
            doubted = found.slowdown > DOUBTED_SLOWDOWN and alone < DOUBTED_SECONDS
            if len(runs) >= max(pairs, DOUBTED_PAIRS if doubted else 1):
                return found

    def _pairs(self, seconds: float) -> int:
        """Return how often a computation that takes so long is timed alone and with transfers."""
        return max(1, min(MOST_PAIRS, int(PAIRS_SECONDS / seconds)))

    def _count(self, seconds: float) -> int:
        """Return how many transfers are timed together."""
        if seconds > LONG_SECONDS:
            return 1
        return max(2, min(self._rows // 4, int(LEAST_SECONDS / max(seconds, 1e-9) / 2)))

    def _post(self, what: str) -> Block:
        """Post the write of a state, or the read of the one not read for longest."""
        self._posted += 1
        block = self._blocks[self._posted % len(self._blocks)]
        if what == "write":
            self._store.offload(self._posted, block)
            self._readable.append(self._posted)
        else:
            step = self._readable.pop(0)
            self._readable.append(step)
            self._store.prefetch(step, block)
        return block

    def _make_room(self, what: str, count: int) -> None:
        """Have rows free for so many writes, on every rank."""
        if what == "write" and largest(len(self._store), self._comm) + count > self._rows:
            self.clear()

    def _timed(self, what: str, count: int) -> float:
        """Return what so many transfers take, one after the other."""
        self._make_room(what, count)
        errors: list[Exception] = []
        began = time.perf_counter()
        for _ in range(count):
            self._post(what)
            error = self._store.settle()
            errors += [error] if error is not None else []
        seconds = time.perf_counter() - began
        self._comm.agree(errors[0] if errors else None)
        return largest(seconds, self._comm)

    def _computing(self, steps: int) -> float:
        began = time.perf_counter()
        self._computation.run(steps, lambda: None)
        return largest(time.perf_counter() - began, self._comm)

    def _with_transfers(self, what: str, count: int, steps: int) -> _Run:
        """Compute, with one transfer after the other under way, until there were so many."""
        self._make_room(what, count)
        engine = self._store.engine
        before, began = engine.statistics, time.perf_counter()
        posted: list[Block] = []
        calls: list[float] = []

        def post() -> None:
            called = time.perf_counter()
            posted.append(self._post(what))
            calls.append(time.perf_counter() - called)

        def go_on() -> None:
            engine.progress()
            # None so late that it would not be done even if it were hidden.
            in_time = time.perf_counter() < began + steps * self._computation.step_seconds / 2
            if len(posted) < count and in_time and not posted[-1].busy:
                post()

        post()
        self._computation.run(steps, go_on)
        stopped = time.perf_counter()
        error = self._store.settle()
        ended, after = time.perf_counter(), engine.statistics
        self._comm.agree(error)
        return _Run(
            count=len(posted),
            seconds=ended - began,
            post=min(calls),
            wait=ended - stopped,
            at_work=after.transfer_seconds - before.transfer_seconds,
        )

    def _agreed(self, run: _Run) -> _Run:
        """Return the figures of the rank where each is largest."""
        ranks = self._comm.gather(run)
        return _Run(
            count=min(rank.count for rank in ranks),
            seconds=max(rank.seconds for rank in ranks),
            post=max(rank.post for rank in ranks),
            wait=max(rank.wait for rank in ranks),
            at_work=max(rank.at_work for rank in ranks),
        )


def _found(runs: Sequence[_Run], alone: float, *, tells: bool) -> Beside:
    """Return what runs with transfers come to, beside what the computation takes alone.

    What else the machine does makes times longer, never shorter.
    """
    lost = min((run.seconds - alone) / run.count for run in runs)
    post = min(run.post for run in runs)
    standing = post + min(run.wait / run.count for run in runs)
    at_work = statistics.median(run.at_work / run.count for run in runs)
    slower = max(0.0, min(at_work, lost - standing)) if tells else 0.0
    share = min(MOST_LOST, slower / at_work) if at_work else 0.0
    return Beside(post, standing - post, standing + slower, at_work, 1 / (1 - share))
