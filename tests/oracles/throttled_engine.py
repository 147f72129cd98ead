"""An engine whose transfers take as long as it is told to: a disk of a given speed.

`Throttle` opens it; it is given wherever an engine is chosen: ``engine=Throttle(write_seconds=…)``.
The bytes are moved for real, by the transfer thread, which then sleeps until the time is up: so the
processor is free meanwhile. A transfer that takes longer by itself is not made faster.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from adjoint.parallel import Communicator
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import Placement

__all__ = ["Throttle"]


@dataclass(frozen=True)
class Throttle:
    """Opens engines on a disk that is as slow as this. The same on every rank, also as text."""

    write_seconds: float = 0.0
    """What the write of a state takes."""
    read_seconds: float = 0.0
    """What the read of a state takes."""
    after_writes: int = 0
    """From then on, counting the writes of this rank to this file,"""
    factor: float = 1.0
    """every transfer takes so many times as long."""
    only_rank: int | None = None
    """The rank that is slow; None if all are."""
    direct: bool = False

    def __call__(self, comm: Communicator, placement: Placement) -> ThreadEngine:
        engine = ThreadEngine((DirectRankFile if self.direct else RankFile)(placement))
        if self.only_rank in {None, comm.rank}:
            file = engine._file
            file.write = self._slowed(file.write, self.write_seconds, file)
            file.read = self._slowed(file.read, self.read_seconds, file)
        return engine

    def _slowed(self, move: Callable, seconds: float, file) -> Callable:
        def slowed(row, block):
            began = time.perf_counter()
            move(row, block)
            factor = self.factor if file.writes > self.after_writes else 1.0
            due = began + factor * seconds
            time.sleep(max(0.0, due - time.perf_counter()))

        return slowed
