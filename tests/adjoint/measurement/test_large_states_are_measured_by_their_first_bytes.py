"""Of a large state only the first bytes are transferred to measure engines; costs are scaled."""

import numpy as np
import pytest
from throttled_engine import Throttle

from adjoint.measurement import constants
from adjoint.measurement.engines import choose_engine
from adjoint.measurement.probe import first_part, with_file
from adjoint.measurement.synthetic import opener, synthetic_probe
from adjoint.parallel import communicator
from adjoint.schedules.costs import Costs
from adjoint.storage.state_layout import StateLayout

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


def test_costs_are_scaled_to_the_whole_state(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "MAX_PROBED_BYTES", 1 << 16)
    comm, opened = communicator(None), []
    open_store = opener(tmp_path, comm)

    def noted(layout, rows, engine):
        opened.append(layout)
        return open_store(layout, rows, engine)

    synthetic, lent = synthetic_probe(1 << 20, comm), []
    memory = synthetic.memory
    synthetic.memory = lambda *of: lent.append(memory(*of)) or lent[-1]
    survey = synthetic.engines([Throttle(0.01, 0.02)], noted)
    assert (
        max(buffers._pool.room.peak for buffers in lent) == 2 << 20
    )  # what a sweep needs at the least
    assert not any(buffers.slots for buffers in lent)
    assert [layout.nbytes for layout in opened] == [1 << 16]
    found = choose_engine(survey).costs
    assert found.write_seconds >= 16 * 0.01
    costs = Costs(advance=3.0)
    paid = with_file(costs, found)
    assert paid.write >= 16 * 0.01
    assert paid.read >= 16 * 0.02
    assert paid.advance == costs.advance
    assert not list(tmp_path.iterdir())
