"""Engines are measured with as much of a state as takes a moment, in the memory there is."""

import numpy as np
import pytest
from throttled_engine import Throttle

from adjoint import probing
from adjoint.comm import communicator
from adjoint.costs import Costs
from adjoint.file_probe import opener, stand_in
from adjoint.overlap import best
from adjoint.probing import first_part, with_file
from adjoint.storage.layout import StateLayout

STATE = {
    "a": np.zeros((7, 100)),
    "b": np.zeros(1000, np.float32),
    "c": np.zeros((50, 3), np.complex128),
}


@pytest.mark.parametrize("most", [0, 100, 5600, 5632, 6000, 9632, 9700, 12032, 10**9])
def test_the_part_is_the_beginning(most):
    whole = StateLayout.of(STATE)
    part = first_part(whole, most)
    assert part.nbytes <= max(most, 0)
    assert whole.nbytes - part.nbytes < 16 or part.nbytes > min(most, whole.nbytes) - 64 - 16
    block = np.random.default_rng(0).integers(0, 255, whole.memory_bytes, np.uint8)
    for name, array in part.views(block).items():
        assert array.tobytes() == whole.views(block)[name].tobytes()[: array.nbytes]


def test_the_rest_is_reckoned(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "PROBED_BYTES", 1 << 16)
    comm, opened = communicator(None), []
    open_store = opener(tmp_path, comm)

    def noted(layout, rows, engine):
        opened.append(layout)
        return open_store(layout, rows, engine)

    probe, lent = stand_in(1 << 20, comm), []
    memory = probe.memory
    probe.memory = lambda slots: lent.append(memory(slots)) or lent[-1]
    survey = probe.engines([Throttle(0.01, 0.02)], noted)
    assert max(buffers._pool.peak for buffers in lent) == 2  # what a sweep needs at the least
    assert not any(buffers.slots for buffers in lent)
    assert [layout.nbytes for layout in opened] == [1 << 16]
    found = best(survey).overlap
    assert found.write_seconds >= 16 * 0.01
    costs = {1: Costs(advance=3.0)}
    paid = with_file(costs, found)[1]
    assert paid.write >= 16 * 0.01
    assert paid.read >= 16 * 0.02
    assert paid.advance == costs[1].advance
    assert not list(tmp_path.iterdir())
