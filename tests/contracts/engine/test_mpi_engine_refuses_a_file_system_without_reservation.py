"""Where space cannot be reserved, MPI I/O would hang on a full disk; a thread can be used."""

import pytest

from adjoint.errors import SnapshotFileError


def test_file_system_without_reservation(make_bench, kind, mount, is_state):
    folder = mount("ramfs", "mode=700")
    if kind == "mpi":
        with pytest.raises(SnapshotFileError, match="cannot reserve space"):
            make_bench(folder=folder)
        return
    bench = make_bench(folder=folder)
    assert not bench.file.placement.reservable
    bench.engine.write(1, bench.block(3), step=3).wait()
    target = bench.blank()
    bench.engine.read(1, target, step=3).wait()
    assert is_state(target, 3)
