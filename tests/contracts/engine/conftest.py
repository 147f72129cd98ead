"""What every engine is tested with: a file, blocks, and known states."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from adjoint.errors import SnapshotFileError
from adjoint.parallel import Communicator, communicator
from adjoint.storage.blocks import Block, BlockPool
from adjoint.storage.engines.base import RowEngine
from adjoint.storage.engines.registry import ENGINES, open_engine
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.snapshot_file import SnapshotFile
from adjoint.storage.state_layout import StateLayout

MPI = None
with suppress(ImportError):
    from mpi4py import MPI

STATE = {
    "velocity": np.zeros((3, 1237), np.float32),
    "spectrum": np.zeros(211, np.complex128),
    "random_bits": np.zeros(13, np.uint8),
    "count": np.zeros((), np.int64),
}


@dataclass
class Bench:
    """An open engine on a new file with some rows."""

    comm: Communicator
    file: SnapshotFile
    engine: RowEngine
    pool: BlockPool

    def block(self, step: int) -> Block:
        """Return a block that holds the state at `step`."""
        block = self.pool.take()
        for name, array in block.arrays.items():
            array[...] = state(step)[name]
        return block

    def blank(self) -> Block:
        """Return a block that holds no state at all."""
        block = self.pool.take()
        block.bytes[...] = 0xA5
        return block


def state(step: int) -> dict[str, np.ndarray]:
    """The state at `step`: different numbers for every step."""
    rng = np.random.default_rng(step)
    arrays = {}
    for name, like in STATE.items():
        values = rng.integers(0, 100, like.shape) + rng.random(like.shape)
        arrays[name] = values.astype(like.dtype)
    return arrays


@pytest.fixture
def is_state() -> Callable[[Block, int], bool]:
    """Whether the arrays of a block have the very bits of the state at `step`."""

    def compare(block: Block, step: int) -> bool:
        expected = state(step)
        return all(block.arrays[name].tobytes() == expected[name].tobytes() for name in STATE)

    return compare


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.needs("mpi4py")] if engine.needs_mpi else [])
        for name, engine in ENGINES.items()
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Mount a small file system of some type; needs root."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    mounted = []

    def make(kind: str, options: str) -> Path:
        command = ["mount", "-t", kind, "-o", options, "none", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip(f"needs the right to mount a {kind}")
        mounted.append(folder)
        return folder

    yield make
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def make_bench(
    kind: str, tmp_path: Path, mount: Callable[[str, str], Path]
) -> Iterator[Callable[..., Bench]]:
    """Make a bench with `rows` rows and `blocks` blocks. An error that no test waited for fails it.

    Depends on `mount` so that it is closed first.
    """
    benches: list[Bench] = []

    def make(rows: int = 8, blocks: int = 8, folder: Path = tmp_path) -> Bench:
        layout = StateLayout.of(STATE)
        comm = communicator(MPI.COMM_SELF if ENGINES[kind].needs_mpi else None)
        file = create_file(folder / "snapshots.h5", comm, FileSpec(layout, "bench"), rows)
        try:
            engine = open_engine(file.placement, comm, kind)
        except SnapshotFileError:
            file.close()
            comm.free()
            raise
        benches.append(Bench(comm, file, engine, BlockPool(layout, blocks)))
        return benches[-1]

    yield make
    for bench in benches:
        try:
            bench.engine.close()
        finally:
            bench.file.close()
            bench.comm.free()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
