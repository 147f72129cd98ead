"""A temporary file has no name once it is open: no end of the process can leave it behind."""

import gc
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.parallel import communicator
from adjoint.schedules import Asynchronous
from adjoint.storage.blocks import Block
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file, open_store
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(700)})
SPEC = FileSpec(LAYOUT, "")
ONE_RANK = communicator(None)

PROGRAM = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from pendulums import Pendulums
import adjoint
from adjoint.schedules import Asynchronous

class Ending(Pendulums):
    def advance(self, start, stop, **options):
        if start >= 40:
            names = os.listdir(sys.argv[1])
            print(f"{len(names)} names", flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))
        return super().advance(start, stop, **options)

schedule = Asynchronous(90, 4, 5)
functional = adjoint.Functional(Ending(3, 90), 90, file=sys.argv[1], schedule=schedule)
functional.value_and_gradient()
"""


def nameless():
    """Return how many open descriptors are of files without a name."""
    folder = "/proc/self/fd"
    found = [os.path.join(folder, n) for n in os.listdir(folder)]
    return sum("adjoint-" in os.readlink(d) for d in found if os.path.lexists(d))


@pytest.mark.parametrize("engine", ["thread", "direct"])
def test_states_are_written_and_read(tmp_path, rng, engine):
    with open_store(tmp_path, ONE_RANK, SPEC, 3, engine=engine) as store:
        assert not list(tmp_path.iterdir())
        written, read = Block(LAYOUT), Block(LAYOUT)
        written.arrays["u"][...] = rng.standard_normal(700)
        store.offload(4, written)
        store.prefetch(4, read)
        store.wait(4)
        assert read.bytes.tobytes() == written.bytes.tobytes()
    assert not list(tmp_path.iterdir())
    assert nameless() == 0


def test_two_are_two_files(tmp_path):
    with (
        create_file(tmp_path, ONE_RANK, SPEC, 2) as one,
        create_file(tmp_path, ONE_RANK, SPEC, 2) as other,
    ):
        assert one.path != other.path
        assert not os.path.samestat(
            os.fstat(one.placement.descriptor), os.fstat(other.placement.descriptor)
        )


def test_no_descriptor_outlives_what_was_not_closed(tmp_path):
    functional = adjoint.Functional(
        Pendulums(3, 40), 40, file=tmp_path, schedule=Asynchronous(40, 4, 5), engine="thread"
    )
    functional.value_and_gradient()
    assert nameless() > 0
    del functional
    gc.collect()
    assert nameless() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_signal(tmp_path, number):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(int(number)), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "0 names" in done.stdout, done.stderr
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())


def test_named_file_is_kept_and_its_lock_is_not(tmp_path):
    create_file(tmp_path / "run.h5", ONE_RANK, SPEC, 2).close()
    assert [path.name for path in tmp_path.iterdir()] == ["run.h5"]
