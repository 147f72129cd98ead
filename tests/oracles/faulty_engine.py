"""An engine that fails when it is told to: the faults of disks, on purpose and by number.

`Faults` opens it; it is given wherever an engine is chosen: ``engine=Faults(…)``. Numbers count
this rank's transfers on this file from 1, those that failed included. It is the transfer thread
that fails: MPI's own nonblocking calls do not survive an error of the disk.
"""

import errno
import os
import random
import time
from dataclasses import dataclass, replace

from adjoint.parallel import Communicator
from adjoint.storage.blocks import Block
from adjoint.storage.engines.direct_io import DirectRankFile
from adjoint.storage.engines.row_io import RankFile
from adjoint.storage.engines.thread import ThreadEngine
from adjoint.storage.file_format import Placement

__all__ = ["Faults"]


@dataclass(frozen=True)
class Faults:
    """Opens engines that fail so. The same on every rank, also as text."""

    failed_writes: tuple[int, ...] = ()
    """Writes that end in EIO, after half of the data."""
    failed_reads: tuple[int, ...] = ()
    """Reads that end in EIO, after half of the data."""
    full_after_bytes: int | None = None
    """A write to a new row that would take this rank's rows beyond this is ENOSPC."""
    flipped_writes: tuple[int, ...] = ()
    """Writes of whose data one bit on the disk is changed afterwards: the checksum must tell."""
    slow_writes: tuple[int, ...] = ()
    slow_reads: tuple[int, ...] = ()
    """Transfers that take `slow_seconds` longer."""
    slow_seconds: float = 0.0
    ranks: tuple[int, ...] | None = None
    """The ranks this happens to; None: all."""
    spares_probe: bool = True
    """Leave files without a journal alone, which is what costs are measured on."""
    direct: bool = False

    def __call__(self, comm: Communicator, placement: Placement) -> ThreadEngine:
        engine = ThreadEngine((DirectRankFile if self.direct else RankFile)(placement))
        is_probe = placement.journal is None
        hit = self.ranks is None or comm.rank in self.ranks
        if hit and not (self.spares_probe and is_probe):
            _Disk(self, engine._file).take_over()
        return engine

    @classmethod
    def random(cls, seed: int, *, ranks: int, transfers: int, state_bytes: int) -> "Faults":
        """Return one or two kinds of faults at random among the first so many transfers."""
        rng = random.Random(seed)

        def some() -> tuple[int, ...]:
            count = rng.randint(1, min(3, transfers))
            return tuple(sorted(rng.sample(range(1, transfers + 1), count)))

        kinds = {
            "failed_writes": some,
            "failed_reads": some,
            "flipped_writes": some,
            "full_after_bytes": lambda: rng.randrange(transfers) * state_bytes,
            "slow_writes": some,
            "slow_reads": some,
        }
        faults = cls(slow_seconds=0.05, direct=rng.random() < 0.5)
        for kind in rng.sample(sorted(kinds), rng.choice((1, 2))):
            faults = replace(faults, **{kind: kinds[kind]()})
        hit = rng.sample(range(ranks), rng.randint(1, ranks))
        return replace(faults, ranks=tuple(sorted(hit)))


class _Disk:
    """What the transfer thread of one rank finds in place of its file's own methods."""

    def __init__(self, faults: Faults, file: RankFile) -> None:
        self.faults, self.file = faults, file
        self.writes = self.reads = 0
        self.rows: set[int] = set()
        self.prepare, self.write, self.read = file.prepare_write, file.write, file.read
        self.finish = file.finish_write

    def take_over(self) -> None:
        self.file.prepare_write = self.prepare_write
        self.file.write = self.failing_write
        self.file.read = self.failing_read
        self.file.finish_write = self.finish_write

    def prepare_write(self, row: int, size: int) -> None:
        self.writes += 1
        self.prepare(row, size)
        most = self.faults.full_after_bytes
        used = len(self.rows | {row}) * self.file.placement.layout.moved_bytes
        if most is not None and row not in self.rows and used > most:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.rows.add(row)

    def failing_write(self, row: int, block: Block) -> None:
        if self.writes in self.faults.slow_writes:
            time.sleep(self.faults.slow_seconds)
        if self.writes in self.faults.failed_writes:
            half = block.bytes.data[: block.bytes.size // 2]
            os.pwrite(self.file._descriptor, half, self.file.placement.offset(row))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.write(row, block)

    def failing_read(self, row: int, block: Block) -> None:
        self.reads += 1
        if self.reads in self.faults.slow_reads:
            time.sleep(self.faults.slow_seconds)
        if self.reads in self.faults.failed_reads:
            half = block.bytes.data[: block.bytes.size // 2]
            os.preadv(self.file._descriptor, [half], self.file.placement.offset(row))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.read(row, block)

    def finish_write(self, row: int, entry) -> None:
        if self.writes in self.faults.flipped_writes:
            self.flip(self.file.placement.offset(row), entry.checksum)
        self.finish(row, entry)

    def flip(self, start: int, number: int) -> None:
        """Change one bit of a row, which one depends on `number` alone."""
        nbytes = self.file.placement.layout.nbytes
        if nbytes == 0:
            return
        at = start + number % nbytes
        (byte,) = os.pread(self.file._descriptor, 1, at)
        os.pwrite(self.file._descriptor, bytes([byte ^ (1 << number % 8)]), at)
