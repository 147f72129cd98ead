"""A bit flipped in index, journal or description of a crashed run's file changes no result.

`python tests/benchmarks/bit_flips.py` flips every one.
"""

import byte_flips
import numpy as np
import pytest

from adjoint.parallel import status_exchange
from adjoint.sweep import journal

FLIPS_EACH = 25


@pytest.mark.parametrize("at", [20, 45])
def test_a_sample_of_bits(at, tmp_path, monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    rng = np.random.default_rng(at)
    path = tmp_path / "run.h5"
    sound = byte_flips.crash(path, at)
    ends = {}
    for name, positions in byte_flips.parts(path).items():
        for position in rng.choice(positions, FLIPS_EACH):
            end = byte_flips.outcome(path, sound, position, rng.integers(8))
            ends.setdefault(end, []).append((name, int(position)))
    assert byte_flips.WRONG not in ends, ends[byte_flips.WRONG]
    assert len(ends) >= 2
