"""Which engine to use for a file: they are measured until one is good, and the best is chosen.

The best engine is the one whose writes are seen least by the computation, because they slow down
its steps; among those that are about equally good, the one whose writes take least, because states
can then be written more often.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adjoint.errors import SnapshotFileError, TransferError
from adjoint.measurement import constants
from adjoint.measurement.transfers import Computation, TransferCosts, measure_engine
from adjoint.parallel import Communicator
from adjoint.storage.blocks import Block
from adjoint.storage.store import FileStore

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Choice", "Survey", "choose_engine", "likeliest_first", "measure_engines", "num_rows"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What was measured of several engines. It is the same on all ranks."""

    found: "dict[str | EngineFactory, TransferCosts]"
    """The costs of those that were measured."""
    refused: "dict[str | EngineFactory, SnapshotFileError | TransferError]"
    """Why others cannot be used on such a file, or failed to write or read."""

    def scaled(self, factor: float) -> "Survey":
        """Scale the costs to states `factor` times larger."""
        found = {engine: costs.scaled(factor) for engine, costs in self.found.items()}
        return Survey(found, self.refused)


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to use, out of those that were measured."""

    engine: "str | EngineFactory"
    """As it was given."""
    costs: TransferCosts
    """What was measured of it."""
    reason: str
    """Why this one: a sentence."""


def num_rows(row_bytes: int) -> int:
    """Return the number of rows, of `row_bytes` on all ranks, of a file to measure engines on."""
    rows = constants.MAX_FILE_BYTES // max(1, row_bytes)
    return min(constants.MAX_ROWS, max(constants.MIN_ROWS, rows))


def likeliest_first(engines: Iterable[str], state_bytes: int) -> list[str]:
    """Return engines in the order in which to measure them for states of this size."""
    likeliest = "direct" if state_bytes >= constants.LARGE_STATE_BYTES else "thread"
    return sorted(engines, key=lambda name: name != likeliest)


def measure_engines(
    candidates: "Sequence[str | EngineFactory]",
    open_store: "Callable[[str | EngineFactory], FileStore]",
    blocks: Sequence[Block],
    computation: Computation,
    comm: Communicator,
    *,
    exhaustive: bool = False,
) -> Survey:
    """Measure engines until one hides its transfers from the computation. Collective on `comm`.

    Parameters
    ----------
    candidates
        The engines, the likeliest first.
    open_store
        Opens an empty store of `num_rows` states with such an engine; it is closed again.
    blocks
        Two states to be written and overwritten.
    computation
        What transfers should delay as little as possible.
    comm
        The ranks that write.
    exhaustive
        Measure all of them.

    Raises
    ------
    NonFiniteError
        On every rank: a state is not finite.
    """
    survey = Survey({}, {})
    for engine in candidates:
        if not exhaustive and any(costs.overlaps for costs in survey.found.values()):
            break
        try:
            store = open_store(engine)
            # `failing` is inside: closing the store is collective, and one rank alone must not.
            with store, comm.failing():
                survey.found[engine] = measure_engine(store, blocks, computation, comm)
        except (SnapshotFileError, TransferError) as refused:
            survey.refused[engine] = refused
            blocks = [_usable(block) for block in blocks]
    return survey


def _usable(block: Block) -> Block:
    """Return a block with the same content that no overdue transfer may still use."""
    if not block.is_lost:
        return block
    other = Block(block.layout)
    other.bytes[...] = block.bytes
    return other


def choose_engine(survey: Survey) -> Choice:
    """Return the engine to use. Not collective: the survey is the same on all ranks.

    Raises
    ------
    SnapshotFileError, TransferError
        None of the engines can be used: the error of the first.
    """
    found = survey.found
    if not found:
        raise next(iter(survey.refused.values()))
    least = min(costs.seen_seconds for costs in found.values())
    slack = constants.SAME_SEEN_SHARE * min(costs.write_seconds for costs in found.values())
    good = [name for name, costs in found.items() if costs.seen_seconds <= least + slack]
    engine = min(good, key=lambda name: found[name].write_while_computing)
    chosen = found[engine]
    parts = [f"{chosen.engine} {chosen.in_words()}"]
    for name, other in found.items():
        # Where direct I/O is refused, "direct" is a plain transfer thread, as "thread" is.
        if name != engine and other.engine != chosen.engine:
            parts.append(f"{other.engine} {_compared(other, chosen)}")
    return Choice(engine, chosen, "; ".join(parts))


def _compared(other: TransferCosts, chosen: TransferCosts) -> str:
    words = other.in_words()
    if other.overlaps and other.seen_seconds <= chosen.seen_seconds:
        times = other.write_while_computing / chosen.write_while_computing
        return f"{words}, but takes {times:.2g} times as long"
    return words
