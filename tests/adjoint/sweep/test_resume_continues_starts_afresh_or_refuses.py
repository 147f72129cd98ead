"""``resume=True`` continues the run that left the file, starts afresh, or says why it cannot."""

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.errors import ArgumentError, SnapshotFileError
from adjoint.parallel import status_exchange
from adjoint.schedules import Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_STEPS = 200

COSTS = Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0)

SCHEDULE = Spilling(NUM_STEPS, 4, 8.0, costs=COSTS)


class CrashError(Exception):
    """Stands for a kill, in one process."""


class Crashing(CoupledPendulums):
    """Crashes when it has taken and pulled back `at` steps."""

    def __init__(self, num_pendulums=5, *, at=None, seed=0):
        super().__init__(num_pendulums, NUM_STEPS, seed=seed)
        self.at = at
        self.taken = 0

    def wait(self):
        self.taken += 1
        if self.taken == self.at:
            raise CrashError


@pytest.fixture(autouse=True)
def _exchange_often(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)


def run(stepper, file, *, resume, schedule=SCHEDULE, **options):
    return adjoint.gradient(
        stepper,
        NUM_STEPS,
        file=file,
        schedule=schedule,
        resume=resume,
        max_lost_share=1e-6,
        **options,
    )


def crashed(file, at=450, **options):
    with pytest.raises(CrashError):
        run(Crashing(at=at, **options), file, resume=False)


def assert_same(result, expected):
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


@pytest.fixture(scope="module")
def expected():
    return adjoint.gradient(Crashing(), NUM_STEPS, schedule=StoreAll(NUM_STEPS))


@pytest.mark.parametrize(("at", "phase"), [(150, "forward"), (450, "reverse")])
def test_a_run_is_resumed_in_either_sweep(at, phase, tmp_path, expected):
    file = tmp_path / "run.h5"
    crashed(file, at)
    resumed = run(Crashing(), file, resume=True)
    assert_same(resumed, expected)
    assert resumed.report.resumed_from.startswith(phase)
    assert f"resumed from         {phase}" in str(resumed.report)
    step = int(resumed.report.resumed_from.rpartition(" ")[2])
    assert (0.8 * at < step < at) if phase == "forward" else (0 < step < NUM_STEPS)


def test_without_resume_a_run_starts_afresh(tmp_path, expected):
    crashed(tmp_path / "run.h5")
    result = run(Crashing(), tmp_path / "run.h5", resume=False)
    assert_same(result, expected)
    assert result.report.resumed_from == ""


def test_without_a_file_a_run_starts_afresh(tmp_path, expected):
    result = run(Crashing(), tmp_path / "run.h5", resume=True)
    assert_same(result, expected)
    assert result.report.resumed_from == ""


def test_with_other_controls_a_run_starts_afresh(tmp_path):
    crashed(tmp_path / "run.h5")
    result = run(Crashing(seed=1), tmp_path / "run.h5", resume=True)
    other = adjoint.gradient(Crashing(seed=1), NUM_STEPS, schedule=StoreAll(NUM_STEPS))
    assert_same(result, other)
    assert result.report.resumed_from == ""


def test_only_the_first_evaluation_is_resumed(tmp_path, expected):
    file = tmp_path / "run.h5"
    crashed(file)
    with adjoint.Functional(
        Crashing(), NUM_STEPS, file=file, schedule=SCHEDULE, resume=True
    ) as functional:
        for resumed in (True, False):
            cost, gradient = functional.value_and_gradient()
            assert functional.report is not None
            assert bool(functional.report.resumed_from) == resumed
            assert_same(adjoint.Result(cost, gradient, functional.report), expected)


def test_resuming_a_run_that_ended_repeats_little(tmp_path, expected):
    run(Crashing(), tmp_path / "run.h5", resume=False)
    again = run(stepper := Crashing(), tmp_path / "run.h5", resume=True)
    assert_same(again, expected)
    assert stepper.taken < NUM_STEPS


class Renamed(Crashing):
    pass


@pytest.mark.parametrize(
    ("stepper", "num_steps", "reason"),
    [
        (Crashing(6), NUM_STEPS, r"state 'u' is float64 of shape \(5,\) in it, .*\(6,\) in this"),
        (
            Renamed(),
            NUM_STEPS,
            r"another problem \(200 steps of Crashing, not 200 steps of Renamed\)",
        ),
        (Crashing(), 150, r"another problem \(200 steps of Crashing, not 150 steps of Crashing\)"),
    ],
)
def test_another_problem_is_refused(stepper, num_steps, reason, tmp_path):
    file = tmp_path / "run.h5"
    crashed(file)
    before = file.read_bytes()
    with pytest.raises(SnapshotFileError, match=reason):
        adjoint.gradient(stepper, num_steps, file=file, resume=True)
    assert file.read_bytes() == before


def test_other_leaves_are_refused(tmp_path):
    crashed(tmp_path / "run.h5")
    other = Spilling(NUM_STEPS, 4, 8.0, costs=COSTS, leaf_steps=4)
    with pytest.raises(ArgumentError, match="leaves of 1 steps, the schedule has 4"):
        run(Crashing(), tmp_path / "run.h5", resume=True, schedule=other)


def test_resuming_needs_a_named_file(tmp_path):
    for file in (None, tmp_path):
        with pytest.raises(ArgumentError, match="resume=True needs file="):
            run(Crashing(), file, resume=True)


def test_a_share_out_of_range_is_refused(tmp_path):
    for share in (0, 1, -0.5):
        with pytest.raises(ArgumentError, match="max_lost_share"):
            adjoint.gradient(Crashing(), NUM_STEPS, file=tmp_path / "run.h5", max_lost_share=share)


@pytest.mark.parametrize("flipped", [3, 5000, 9000])
def test_a_corrupt_record_is_ignored(flipped, tmp_path, expected):
    file = tmp_path / "run.h5"
    crashed(file)
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "r+") as opened:
        latest = int(np.argmax(opened["journal"][:, :8].view("<u8")[:, 0]))
        opened["journal"][latest, flipped % opened["journal"].shape[1]] ^= 255
    assert_same(run(Crashing(), file, resume=True), expected)


def test_with_corrupt_gradient_rows_a_run_starts_afresh(tmp_path, expected):
    file = tmp_path / "run.h5"
    crashed(file)
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "r+") as opened:
        opened["gradients"][8 * (NUM_STEPS - 1)] ^= 255
    result = run(Crashing(), file, resume=True)
    assert_same(result, expected)
