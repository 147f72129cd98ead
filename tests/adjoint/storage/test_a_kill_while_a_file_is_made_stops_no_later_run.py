"""A run killed at any call while it makes its file leaves nothing that stops the next one."""

import subprocess
import sys

PROGRAM = """
import fcntl, os, sys
sys.path[:0] = sys.argv[2:]
import h5py
import numpy as np
from adjoint.parallel import communicator
from adjoint.storage.file_format import FileSpec
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout

LAYOUT = StateLayout.of({"u": np.zeros(50)})
path = os.path.join(sys.argv[1], "run.h5")

def make(rows=4):
    return create_file(path, communicator(None), FileSpec(LAYOUT, "mine"), rows)

def dying(call, count):
    def wrapped(*given, **named):
        count[0] -= 1
        if count[0] == 0:
            os._exit(9)
        return call(*given, **named)
    return wrapped

def killed_at(n, rows):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    count = [n]
    for module, name in [
        (os, "open"), (os, "close"), (os, "pwrite"), (os, "ftruncate"), (os, "fsync"),
        (os, "rename"), (os, "unlink"), (fcntl, "flock"), (h5py, "File"), (os, "posix_fallocate"),
    ]:
        setattr(module, name, dying(getattr(module, name), count))
    make(rows).close()
    os._exit(0)

for rows, before in ((4, None), (9, 4)):
    n = 1
    while True:
        if before is not None:
            make(before).close()
        if not killed_at(n, rows):
            break
        with make(rows) as file:
            assert file.placement.rows == rows, (n, rows)
        assert os.listdir(sys.argv[1]) == ["run.h5"], (n, rows, os.listdir(sys.argv[1]))
        os.unlink(path)
        n += 1
    assert n > 12, n
    os.unlink(path)
print("all made again")
"""


def test_at_every_call(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "all made again\n", done.stderr
