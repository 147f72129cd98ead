"""What transfers cost a computation: measured, engine by engine, so that the best can be used.

Nonblocking does not mean asynchronous. A library may do the work inside the call that posts a
transfer, or in the one that waits for it; a transfer may take the core that the computation is on.
So the same computation is timed alone, ``T_a``, and while ``k`` writes are under way, ``T_b``,
posting and waiting included. What a write takes of the computation's time is its

    seen time  s = (T_b - T_a) / k,      hidden share  1 - s / w,

with ``w`` what a write takes while nothing else happens. Of what is seen, posting and waiting are
timed, and what is left is computing that went slower: over the time ``t`` in which writes were at
work, the slowdown is ``1 / (1 - (s - post - wait) / t)``.

Of several engines the best is that whose writes are seen least, because steps are slowed by it;
among those that are about as good, that whose writes take least, because states can be written so
much more often.

A few states may never leave the page cache: an engine that goes through it is measured as fast as
memory, and writes no faster than the disk in the end. That is an upper bound, and called so.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adjoint.errors import SnapshotFileError, TransferError
from adjoint.measurement.transfer_timing import Computation, TransferTiming
from adjoint.parallel import Communicator, largest
from adjoint.storage.blocks import Block
from adjoint.storage.engines.base import Engine
from adjoint.storage.store import FileStore

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = [
    "Choice",
    "Computation",
    "Survey",
    "TransferCosts",
    "best",
    "measure",
    "measure_engines",
    "rows_for",
]

ROOM = 64 << 20
"""Bytes of a probe's file; more only if it takes that to have `LEAST_ROWS`."""

LEAST_ROWS, MOST_ROWS = 6, 256

ENOUGH_HIDDEN = 0.5
"""An engine that hides less than half of a transfer is one that does not overlap."""

AS_GOOD = 0.1
"""Seen times that differ by no more than this share of a transfer are as good as one another."""


@dataclass(frozen=True, slots=True)
class TransferCosts:
    """What transfers of one state take by one engine: seconds, on the rank where it is most."""

    engine: str
    """In words."""
    write_seconds: float
    """A write, with nothing else going on."""
    read_seconds: float
    """A read, with nothing else going on."""
    write_while_computing: float
    """A write, from when it is begun to when it is over, while computing."""
    read_while_computing: float
    """A read, while computing."""
    post_seconds: float
    """In the call that posts a write, while computing."""
    wait_seconds: float
    """In the wait for a write, after enough time to do it in was spent computing."""
    seen_seconds: float
    """What a write takes of the computation's time, all in all."""
    slowdown: float
    """How many times longer computing takes while a write is under way."""
    read_slowdown: float
    """How many times longer computing takes while a read is under way."""
    read_seen_seconds: float
    """What a read takes of the computation's time, all in all."""
    cached: bool
    """Whether it goes through the page cache: then its speed is an upper bound."""

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
        return self.hidden_share >= ENOUGH_HIDDEN

    def scaled(self, factor: float) -> "TransferCosts":
        """Return what it comes to for states so many times as large."""
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
        """Return what is wrong with it, or how good it is, for a sentence that names the engine."""
        share = f"hides {self.hidden_share:.0%} of a write"
        if self.overlaps:
            return share
        if 2 * self.post_seconds > self.seen_seconds:
            return f"does the work inside the call ({share})"
        if 2 * self.wait_seconds > self.seen_seconds:
            return f"does the work in the wait ({share})"
        return f"takes the processor from the computation ({share})"


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out about engines."""

    found: "dict[str | EngineFactory, TransferCosts]"
    refused: "dict[str | EngineFactory, SnapshotFileError | TransferError]"
    """Those that cannot be used on such a file, or whose writes or reads have failed."""

    def scaled(self, factor: float) -> "Survey":
        """Return what it comes to for states so many times as large."""
        found = {engine: overlap.scaled(factor) for engine, overlap in self.found.items()}
        return Survey(found, self.refused)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to be used, out of those that were measured."""

    engine: "str | EngineFactory"
    """As it was given."""
    overlap: TransferCosts
    """What was measured of it."""
    reason: str
    """Why this one: a sentence."""


def rows_for(row_bytes: int) -> int:
    """Return how many rows a file should have on which engines are measured."""
    return min(MOST_ROWS, max(LEAST_ROWS, ROOM // max(1, row_bytes)))


def measure_engines(
    candidates: "Sequence[str | EngineFactory]",
    open_store: "Callable[[str | EngineFactory], FileStore]",
    blocks: Sequence[Block],
    computation: Computation,
    comm: Communicator,
    *,
    seconds: float,
) -> Survey:
    """Measure engines, one after the other. Collective on `comm`.

    Parameters
    ----------
    candidates
        Engines, the one first that is to be used if there is only time for one.
    open_store
        Opens an empty store of `rows_for` states with such an engine; it is closed again.
    blocks
        Two states to be written and overwritten.
    computation
        What they are to delay as little as possible.
    comm
        The ranks that write.
    seconds
        No other engine is looked at once they took this long.

    Raises
    ------
    NonFiniteError
        On every rank: a state is not finite.
    """
    began = time.perf_counter()
    survey = Survey({}, {})
    for engine in candidates:
        if survey.found and largest(time.perf_counter() - began, comm) > seconds:
            break
        try:
            store = open_store(engine)
            # Failing within: to close the store is collective, and one rank alone must not.
            with store, comm.failing():
                survey.found[engine] = measure(store, blocks, computation, comm)
        except (SnapshotFileError, TransferError) as refused:
            survey.refused[engine] = refused
    return survey


def best(survey: Survey) -> Choice:
    """Return the engine to be used. No rank need be asked: all have the same survey.

    Raises
    ------
    SnapshotFileError, TransferError
        None of the engines can be used: what the first one said.
    """
    found = survey.found
    if not found:
        raise next(iter(survey.refused.values()))
    least = min(overlap.seen_seconds for overlap in found.values())
    slack = AS_GOOD * min(overlap.write_seconds for overlap in found.values())
    good = [name for name, overlap in found.items() if overlap.seen_seconds <= least + slack]
    engine = min(good, key=lambda name: found[name].write_while_computing)
    chosen = found[engine]
    parts = [f"{chosen.engine} {chosen.in_words()}"]
    for name, other in found.items():
        # Direct I/O that is refused is a plain transfer thread, which may be there as well.
        if name != engine and other.engine != chosen.engine:
            parts.append(f"{other.engine} {_compared(other, chosen)}")
    return Choice(engine, chosen, "; ".join(parts))


def measure(
    store: FileStore, blocks: Sequence[Block], computation: Computation, comm: Communicator
) -> TransferCosts:
    """Measure the engine of a store, which is left empty. Collective on `comm`.

    It takes about a tenth of a second, or some ten times what a write takes, if that is more; and
    a few steps at the least.

    Parameters
    ----------
    store
        Empty; has rows for two states or more, better for `rows_for`.
    blocks
        Two states to be written and overwritten.
    computation, comm
        What goes on meanwhile, on these ranks.

    Raises
    ------
    TransferError, NonFiniteError
        On every rank: a write or a read failed.
    """
    bench = TransferTiming(store, blocks, computation, comm)
    write = bench.alone("write")
    writing = bench.beside("write", write)
    read = bench.alone("read")
    reading = bench.beside("read", read)
    bench.clear()
    # Asked now: an engine learns from its first transfer whether it passes the cache by.
    names, cached = zip(*comm.gather(_known(store.engine)), strict=True)
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


def _known(engine: Engine) -> tuple[str, bool]:
    """Return what an engine is called, and whether it goes through the page cache."""
    return engine.name, engine.uses_page_cache


def _compared(other: TransferCosts, chosen: TransferCosts) -> str:
    words = other.in_words()
    if other.overlaps and other.seen_seconds <= chosen.seen_seconds:
        times = other.write_while_computing / chosen.write_while_computing
        return f"{words}, but takes {times:.2g} times as long"
    return words


def _hidden(seen: float, whole: float) -> float:
    return max(0.0, 1 - seen / whole) if whole > 0 else 1.0
