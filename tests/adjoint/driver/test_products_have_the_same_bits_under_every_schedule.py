"""Products have the bits of storing all states, whatever schedule, file, block or interruption.

Cost and gradient beside them have the bits that they have without.
"""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from pendulums import Pendulums
from seven_cells import AnalyticCells, Cells, controls

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Mixed, Revolve, Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_STEPS, COUNT = 60, 3

COSTS = Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0)

SPILLING = Spilling(NUM_STEPS, 4, 8.0, costs=COSTS)

SCHEDULES = [
    Revolve(NUM_STEPS, 1),
    Revolve(NUM_STEPS, 2),
    Revolve(NUM_STEPS, 20),
    Revolve(NUM_STEPS, 3, leaf_steps=4),
    Revolve(NUM_STEPS, NUM_STEPS),
    Mixed(NUM_STEPS, 9, 3, leaf_steps=3),
]


def cells(kind):
    """Return a longer run of the seven cells."""
    rows = np.random.default_rng(5).standard_normal((NUM_STEPS, 1))
    return kind({**controls(), "f": rows})


STEPPERS = {
    "by hand": lambda: cells(Cells),
    "by complex step": lambda: cells(AnalyticCells),
    "with replay data": lambda: Pendulums(3, NUM_STEPS),
}


def towards(stepper, count=COUNT):
    rng = np.random.default_rng(2)
    return {k: rng.standard_normal((count, *c.shape)) for k, c in stepper.controls.items()}


def bits(found):
    parts = {"gradient": found.gradient or {}, "products": found.products}
    named = {f"{part} {k}": a.tobytes() for part, each in parts.items() for k, a in each.items()}
    return {"cost": found.cost, **named}


def products(stepper, *, gauss_newton=False, block=None, **options):
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        return functional.second_order(towards(stepper), gauss_newton=gauss_newton, block=block)


@pytest.fixture(params=STEPPERS)
def make(request):
    return STEPPERS[request.param]


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_in_memory(make, gauss_newton):
    expected = bits(
        products(make(), gauss_newton=gauss_newton, schedule=StoreAll(NUM_STEPS), block=COUNT)
    )
    for schedule in SCHEDULES:
        found = products(make(), gauss_newton=gauss_newton, schedule=schedule, block=COUNT)
        assert bits(found) == expected, schedule


def test_with_a_file(make, tmp_path):
    expected = bits(products(make(), schedule=StoreAll(NUM_STEPS), block=COUNT))
    for file in (tmp_path, tmp_path / "run.h5"):
        found = products(make(), schedule=SPILLING, file=file, block=COUNT)
        assert bits(found) == expected
        assert found.report.bytes_written


def test_in_blocks_of_any_size_and_as_planned(make):
    expected = bits(products(make(), schedule=StoreAll(NUM_STEPS), block=COUNT))
    for block in (1, 2, 5, None):
        assert bits(products(make(), memory="8 kB", block=block)) == expected


def test_cost_and_gradient_are_those_without(make):
    stepper = make()
    with adjoint.Functional(stepper, NUM_STEPS, memory="4 kB") as functional:
        before = functional.value_and_gradient()
        found = functional.second_order(towards(stepper))
        single = functional.gauss_newton_product({k: d[0] for k, d in towards(stepper).items()})
        after = functional.value_and_gradient()
    for cost, gradient in (before, after):
        assert cost == found.cost
        assert all(found.gradient[k].tobytes() == g.tobytes() for k, g in gradient.items())
    assert list(single) == list(found.products)


def resumable(monkeypatch, path):
    """Return options of a run that writes a record of its journal in every beat."""
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    return {"schedule": SPILLING, "file": path, "max_lost_share": 1e-6}


def killed_in_the_reverse_sweep(kind, path):
    """Run in a process of its own."""

    class Killed(kind):
        def step_vjp(self, step, state, adjoint, gradient):
            if step == 20:
                os.kill(os.getpid(), signal.SIGKILL)
            super().step_vjp(step, state, adjoint, gradient)

    Killed.__qualname__, Killed.__module__ = kind.__qualname__, kind.__module__
    with pytest.MonkeyPatch.context() as monkeypatch:
        products(cells(Killed), block=COUNT, **resumable(monkeypatch, path))


@pytest.mark.parametrize("kind", [Cells, AnalyticCells])
def test_resumed_after_a_kill_in_the_reverse_sweep(kind, tmp_path, monkeypatch):
    path, module = tmp_path / "run.h5", os.path.splitext(os.path.basename(__file__))[0]
    code = (
        f"import sys; sys.path[:0] = {[os.path.dirname(__file__), *sys.path]}\n"
        f"import {module} as tests\n"
        f"tests.killed_in_the_reverse_sweep(tests.{kind.__name__}, {str(path)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    expected = bits(products(cells(kind), schedule=StoreAll(NUM_STEPS), block=COUNT))
    found = products(cells(kind), block=COUNT, resume=True, **resumable(monkeypatch, path))
    assert found.report.resumed_from.startswith("reverse")
    assert bits(found) == expected


def test_other_directions_begin_afresh(tmp_path, monkeypatch, caplog):
    options = resumable(monkeypatch, tmp_path / "run.h5")
    stepper = cells(Cells)
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        functional.second_order(towards(stepper), block=COUNT)
    other = {k: 2 * d for k, d in towards(stepper).items()}
    with adjoint.Functional(stepper, NUM_STEPS, resume=True, **options) as functional:
        found = functional.second_order(other, block=COUNT)
    assert not found.report.resumed_from
    assert "the run begins afresh" in caplog.text
