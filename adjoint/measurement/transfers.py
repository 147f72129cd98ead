"""What transfers by one engine cost a computation that goes on beside them.

Nonblocking does not mean asynchronous. A library may do the work inside the call that posts a
transfer, or in the one that waits for it; a transfer may take the core that the computation is on.
So the same computation is timed alone, ``T_a``, and while ``k`` writes are under way, ``T_b``,
posting and waiting included. The share of a write's time that the computation does not see is

    hidden share  1 - s / w,    with the seen time  s = (T_b - T_a) / k

and the time ``w`` of a write while nothing else happens. Of the seen time, posting and waiting are
timed, and the rest is computing that went slower: if writes were at work for a time ``t``, the
slowdown is ``1 / (1 - (s - post - wait) / t)``.

A few states may never leave the page cache: an engine that uses it is measured as fast as memory,
though in the end it writes no faster than the disk. Such a speed is marked as an upper bound.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adjoint.measurement import constants
from adjoint.parallel import Communicator, largest
from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import Engine
from adjoint.storage.store import FileStore
from adjoint.sweep.cost_tracking import slowdown_of

__all__ = ["Computation", "TransferCosts", "measure_engine"]

MIN_SECONDS = 1e-9
"""Shorter times count as this one where they divide."""


@dataclass(frozen=True, slots=True)
class Computation:
    """Steps that can be timed repeatedly, always the same ones."""

    run: Callable[[int, Callable[[], None]], None]
    """Takes a number of steps, from the start, and calls the function given between some of
    them."""
    step_seconds: float
    """Time of one step, on the slowest rank."""
    grid: int = 1
    """Only multiples of this number of steps are taken."""


@dataclass(frozen=True, slots=True)
class TransferCosts:
    """What transfers of one state by one engine take: seconds, on the slowest rank for each."""

    engine: str
    """The engine's name, as in a report."""
    write_seconds: float
    """A write, with nothing else going on."""
    read_seconds: float
    """A read, with nothing else going on."""
    write_while_computing: float
    """A write, from its beginning to its end, while computing."""
    read_while_computing: float
    """A read, while computing."""
    post_seconds: float
    """The call that posts a write, while computing."""
    wait_seconds: float
    """The wait for a write, after computing for longer than the write takes."""
    seen_seconds: float
    """What a write adds to the computation's time in total."""
    slowdown: float
    """Factor by which computing takes longer while a write is at work."""
    read_slowdown: float
    """Factor by which computing takes longer while a read is at work."""
    read_seen_seconds: float
    """What a read adds to the computation's time in total."""
    cached: bool
    """Whether transfers go through the page cache: then their speed is an upper bound."""

    @property
    def hidden_share(self) -> float:
        """The share of a write that the computation does not see, from 0 to 1."""
        return _hidden(self.seen_seconds, self.write_seconds)

    @property
    def read_hidden_share(self) -> float:
        """The share of a read that the computation does not see, from 0 to 1."""
        return _hidden(self.read_seen_seconds, self.read_seconds)

    @property
    def overlaps(self) -> bool:
        """Whether at least half of a write is hidden."""
        return self.hidden_share >= constants.MIN_HIDDEN_SHARE

    def scaled(self, factor: float) -> "TransferCosts":
        """Scale the costs to states `factor` times larger."""
        return replace(
            self,
            write_seconds=factor * self.write_seconds,
            read_seconds=factor * self.read_seconds,
            write_while_computing=factor * self.write_while_computing,
            read_while_computing=factor * self.read_while_computing,
            post_seconds=(1.0 if self.overlaps else factor) * self.post_seconds,
            wait_seconds=factor * self.wait_seconds,
            seen_seconds=factor * self.seen_seconds,
            read_seen_seconds=factor * self.read_seen_seconds,
        )

    def in_words(self) -> str:
        """Return how well the engine overlaps: a predicate for a sentence that names it."""
        share = f"hides {self.hidden_share:.0%} of a write"
        if self.overlaps:
            return share
        if 2 * self.post_seconds > self.seen_seconds:
            return f"does the work inside the call ({share})"
        if 2 * self.wait_seconds > self.seen_seconds:
            return f"does the work in the wait ({share})"
        return f"takes the processor from the computation ({share})"


def measure_engine(
    store: FileStore, blocks: Sequence[Block], computation: Computation, comm: Communicator
) -> TransferCosts:
    """Measure the engine of a store, which is left empty. Collective on `comm`.

    It takes about a tenth of a second, or ten times as long as a write if that is more, and at
    least a few steps.

    Parameters
    ----------
    store
        Empty, with rows for two states or more; a probe gives it more, see `constants`.
    blocks
        Two states to be written and overwritten.
    computation, comm
        What goes on meanwhile, on these ranks.

    Raises
    ------
    TransferError, NonFiniteError
        On every rank: a write or a read failed.
    """
    timing = _Timing(store, blocks, computation, comm)
    write = timing.alone("write")
    writing = timing.beside("write", write)
    read = timing.alone("read")
    reading = timing.beside("read", read)
    timing.clear()
    # Only now: an engine learns from its first transfer whether it can bypass the page cache.
    names, cached = zip(*comm.gather(_identity(store.engine)), strict=True)
    return TransferCosts(
        engine=names[0],
        write_seconds=write,
        read_seconds=read,
        write_while_computing=writing.at_work or write,
        read_while_computing=reading.at_work or read,
        post_seconds=writing.post,
        wait_seconds=writing.wait,
        seen_seconds=writing.seen,
        slowdown=writing.slowdown,
        read_slowdown=reading.slowdown,
        read_seen_seconds=reading.seen,
        cached=any(cached),
    )


def _identity(engine: Engine) -> tuple[str, bool]:
    """Return an engine's name, and whether it goes through the page cache."""
    return engine.name, engine.uses_page_cache


def _hidden(seen: float, whole: float) -> float:
    return max(0.0, 1 - seen / whole) if whole > 0 else 1.0


# -- timing ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Run:
    """One computation with transfers under way: seconds, on this rank."""

    count: int
    """Number of transfers."""
    seconds: float
    """All of it."""
    post: float
    """The shortest call that posts one."""
    wait: float
    """The wait for those that had not finished in the end."""
    at_work: float
    """The time in which a transfer was at work."""


@dataclass(frozen=True, slots=True)
class _Beside:
    """What one transfer took of a computation: seconds, on the slowest rank."""

    post: float
    """The call that posts it."""
    wait: float
    """The wait for it, when the computation was done."""
    seen: float
    """All that it added to the computation's time."""
    at_work: float
    """How long it was at work."""
    slowdown: float
    """Factor by which computing took longer while transfers were at work."""

    @classmethod
    def of(cls, runs: Sequence[_Run], alone: float, *, is_reliable: bool) -> "_Beside":
        """Compare runs with transfers with the time that the computation takes alone.

        The least of each figure counts, because what else the machine does only adds to it. If the
        whole is not reliable, only what was timed in calls is.
        """
        lost = min((run.seconds - alone) / run.count for run in runs)
        post = min(run.post for run in runs)
        in_calls = post + min(run.wait / run.count for run in runs)
        at_work = statistics.median(run.at_work / run.count for run in runs)
        slower = max(0.0, min(at_work, lost - in_calls)) if is_reliable else 0.0
        slowdown = slowdown_of(slower / at_work if at_work else 0.0)
        return cls(post, in_calls - post, in_calls + slower, at_work, slowdown)


class _Timing:
    """Times the transfers, "write" or "read", of a store. Every method is collective."""

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
        """States in the file, the one not read for longest first."""

    def clear(self) -> None:
        """Discard every state, once no transfer is under way."""
        self._comm.agree(self._store.clear())
        self._readable.clear()

    def alone(self, what: str) -> float:
        """Return the time of one transfer with nothing else going on. Writes are timed first."""
        first = self._timed(what, 1)
        if first > constants.LONG_SECONDS:
            return first
        count = max(1, self._rows // 8)
        return self._timed(what, count) / count

    def beside(self, what: str, seconds: float) -> _Beside:
        """Return what transfers of `seconds` each take of the computation."""
        count = self._count(seconds)
        wanted = max(constants.MIN_COMPUTING_SECONDS, 2 * count * seconds)
        step, grid = max(self._computation.step_seconds, MIN_SECONDS), self._computation.grid
        steps = grid * math.ceil(wanted / step / grid)
        pairs = max(1, min(constants.MAX_PAIRS, int(constants.PAIRS_SECONDS / (steps * step))))
        is_reliable = steps * step < constants.MAX_STEPS_TO_TRANSFERS * count * seconds
        alone = math.inf
        runs: list[_Run] = []
        while True:
            alone = min(alone, self._computing(steps))
            runs.append(self._agreed(self._with_transfers(what, count, steps)))
            found = _Beside.of(runs, alone, is_reliable=is_reliable)
            if len(runs) >= max(pairs, _min_pairs(found, alone)):
                return found

    def _count(self, seconds: float) -> int:
        """Return the number of transfers of `seconds` each that are timed together."""
        if seconds > constants.LONG_SECONDS:
            return 1
        wanted = int(constants.MIN_COMPUTING_SECONDS / max(seconds, MIN_SECONDS) / 2)
        return max(2, min(self._rows // 4, wanted))

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
        """Have rows free for `count` writes, on every rank."""
        if what == "write" and largest(len(self._store), self._comm) + count > self._rows:
            self.clear()

    def _timed(self, what: str, count: int) -> float:
        """Return the time of `count` transfers, one after the other."""
        self._make_room(what, count)
        error: Exception | None = None
        began = time.perf_counter()
        for _ in range(count):
            self._post(what)
            failure = self._store.settle()
            error = error or failure
        seconds = time.perf_counter() - began
        self._comm.agree(error)
        return largest(seconds, self._comm)

    def _computing(self, steps: int) -> float:
        began = time.perf_counter()
        self._computation.run(steps, lambda: None)
        return largest(time.perf_counter() - began, self._comm)

    def _with_transfers(self, what: str, count: int, steps: int) -> _Run:
        """Compute with one transfer after the other under way, up to `count` of them."""
        self._make_room(what, count)
        engine = self._store.engine
        before, began = engine.statistics, time.perf_counter()
        posted: list[Block] = []
        calls: list[float] = []

        def post() -> None:
            called = time.perf_counter()
            posted.append(self._post(what))
            calls.append(time.perf_counter() - called)

        def pause() -> None:
            engine.progress()
            # None is posted so late that it could not finish even if it were hidden.
            in_time = time.perf_counter() < began + steps * self._computation.step_seconds / 2
            if len(posted) < count and in_time and not posted[-1].busy:
                post()

        post()
        self._computation.run(steps, pause)
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


def _min_pairs(found: _Beside, alone: float) -> int:
    """Return how often to time a computation that takes `alone` seconds, by its slowdown."""
    is_suspect = found.slowdown > constants.SUSPECT_SLOWDOWN and alone < constants.SUSPECT_SECONDS
    return constants.MIN_SUSPECT_PAIRS if is_suspect else 1
