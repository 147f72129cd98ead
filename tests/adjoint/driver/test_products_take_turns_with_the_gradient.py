"""Products and gradients share the memory and the disk; each keeps the plan that it has."""

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums
from pendulums import Pendulums
from seven_cells import NUM_STEPS, AnalyticCells, Cells, directions

import adjoint
from adjoint.driver import evaluations, prepare
from adjoint.errors import ArgumentError, SnapshotFileError
from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs

COSTS = Costs(advance=1.0, pull_back=2.0, write=2.0, read=2.0)

SCHEDULE = Spilling(NUM_STEPS, 2, 2.0, costs=COSTS)


def test_products_have_a_file_of_their_own(tmp_path):
    file = tmp_path / "run.h5"
    with adjoint.Functional(Cells(), NUM_STEPS, schedule=SCHEDULE, file=file) as functional:
        functional.value_and_gradient()
        before = file.read_bytes()
        for gauss_newton, block in ((False, 1), (False, 2), (True, 2)):
            functional.second_order(directions(2), gauss_newton=gauss_newton, block=block)
        assert file.read_bytes() == before
        functional.value_and_gradient()
    assert sorted(tmp_path.iterdir()) == [file, tmp_path / "run.h5.second"]
    with adjoint.open_snapshots(tmp_path / "run.h5.second") as snapshots:
        assert "second-order products of Cells" in snapshots.structure.problem


def test_the_file_of_another_problem_is_left_as_it_is(tmp_path):
    file = tmp_path / "run.h5"
    with adjoint.Functional(
        CoupledPendulums(3, NUM_STEPS), NUM_STEPS, file=f"{file}.second"
    ) as other:
        other.value_and_gradient()
    before = (tmp_path / "run.h5.second").read_bytes()
    functional = adjoint.Functional(Cells(), NUM_STEPS, schedule=SCHEDULE, file=file)
    with functional, pytest.raises(SnapshotFileError, match="belongs to another problem"):
        functional.second_order(directions(1))
    assert (tmp_path / "run.h5.second").read_bytes() == before


def test_a_temporary_file_leaves_nothing(tmp_path):
    with adjoint.Functional(Cells(), NUM_STEPS, schedule=SCHEDULE, file=tmp_path) as functional:
        functional.value_and_gradient()
        assert functional.second_order(directions(2)).report.bytes_written
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("disk", "fits"), [(800_000, True), (300_000, False)])
def test_the_disk_is_enough_for_both(disk, fits, tmp_path):
    file, stepper = tmp_path / "run.h5", Pendulums(500, 40)
    schedule = Spilling(40, 2, 4.0, costs=COSTS)
    with adjoint.Functional(stepper, 40, file=file, disk=disk, schedule=schedule) as functional:
        if not fits:
            with pytest.raises(ArgumentError, match="disk="):
                functional.hessian_product({"stiffness": np.ones(500)})
            return
        functional.hessian_product({"stiffness": np.ones(500)})
        functional.value_and_gradient()
        assert functional.report.bytes_written
    used = sum(512 * path.stat().st_blocks for path in tmp_path.iterdir())
    assert used <= disk


def test_plans_are_made_once(monkeypatch):
    planned = []

    def plan_run(run, **options):
        planned.append(run.stepper)
        return prepare.plan_run(run, **options)

    monkeypatch.setattr(evaluations, "plan_run", plan_run)
    with adjoint.Functional(Cells(), NUM_STEPS, memory="2 kB") as functional:
        for _ in range(2):
            for gauss_newton in (False, True):
                functional.second_order(directions(1), gauss_newton=gauss_newton)
            functional.value_and_gradient()
    assert len(planned) == 3


@pytest.mark.parametrize("memory", [700, 2000, 10_000])
def test_memory_is_within_what_is_allowed(memory):
    with adjoint.Functional(Cells(), NUM_STEPS, memory=memory) as functional:
        for _ in range(2):
            functional.value_and_gradient()
            assert functional.report.memory_bytes <= memory
            found = functional.second_order(directions(2))
            assert found.report.memory_bytes <= memory


def test_complex_controls_count():
    with adjoint.Functional(AnalyticCells(), NUM_STEPS, memory=400) as functional:
        functional.value_and_gradient()
        with pytest.raises(ArgumentError, match="directions take 384 bytes of it for complex"):
            functional.second_order(directions(1))
