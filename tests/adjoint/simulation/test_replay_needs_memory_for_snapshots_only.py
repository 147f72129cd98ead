"""Replay reads actions one by one and keeps none of them."""

import tracemalloc

from adjoint.schedules import Asynchronous
from adjoint.simulation.replay import price


def test_peak_memory_does_not_grow_with_the_steps():
    def peak_bytes(num_steps):
        tracemalloc.start()
        try:
            # the file holds eight states whatever the length
            price(Asynchronous(num_steps, 6, num_steps // 8))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(100)
    assert peak_bytes(16_000) < peak_bytes(1_000) + 4_000
