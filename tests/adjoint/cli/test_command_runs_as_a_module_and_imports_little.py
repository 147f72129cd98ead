"""``python -m adjoint plan`` runs, and without a file or a picture imports no heavy library."""

import subprocess
import sys

HEAVY = {"h5py", "jax", "matplotlib", "mpi4py", "numba", "petsc4py", "scipy", "torch"}
ARGUMENTS = ["plan", "--steps=1e6", "--state=16 MiB", "--memory=2 GiB", "--step=20 ms"]
LOADED = "import sys; from adjoint.cli import main; main(sys.argv[1:]); print(*sys.modules)"


def run(*command):
    command = (sys.executable, *command)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_as_a_module():
    done = run("-m", "adjoint", *ARGUMENTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Revolve" in done.stdout


def test_too_little_memory():
    done = run("-m", "adjoint", *ARGUMENTS, "--memory=1 MiB")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("adjoint: memory=1048576 bytes is too little")


def test_what_is_imported():
    done = run("-c", LOADED, *ARGUMENTS)
    assert done.returncode == 0
    assert not HEAVY & set(done.stdout.split())
