"""If a transfer does not end, the run goes on with a thread or in memory: the same bits."""

import logging

import pendulums
import pytest
from shown_tapes import ShowsTapes
from stuck_engine import Stuck, release

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous, DiskRevolve, Spilling, StoreAll, TapesInFile
from adjoint.schedules.costs import Costs

STEPS = 160
SCHEDULES = {
    "Asynchronous": Asynchronous(STEPS, 5, 12),
    "DiskRevolve": DiskRevolve(STEPS, 3, write=5, read=5),
    "Spilling": Spilling(STEPS, 4, 7.5, costs=Costs(advance=1e-4, write=5e-4, read=5e-4)),
    "tapes": Spilling(STEPS, 6, 9.0, costs=Costs(write=8.0, read=8.0), tape_slots=1),
    "tapes in the file": TapesInFile(STEPS, 6, 1, costs=Costs(unreached=1, piece_write=0.1)),
}
PLACES = [{"write": 1}, {"write": 4}, {"read": 1}, {"read": 3}]


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.001)
    yield
    release()


class Shown(ShowsTapes, pendulums.Pendulums):
    """The pendulums, whose tapes may go to the file."""


def functional(folder, schedule, **options):
    model = Shown(60, STEPS)
    return adjoint.Functional(model, STEPS, file=folder, schedule=schedule, **options)


def bits(cost, gradient):
    return [cost, *(gradient[name].tobytes() for name in sorted(gradient))]


@pytest.fixture(scope="module")
def in_memory():
    found = adjoint.gradient(pendulums.Pendulums(60, STEPS), STEPS, schedule=StoreAll(STEPS))
    return bits(found.cost, found.gradient)


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_bits_are_those_without_a_file(name, place, in_thread, tmp_path, in_memory, caplog):
    engine = Stuck(in_thread=in_thread, **place)
    with (
        caplog.at_level(logging.WARNING, "adjoint"),
        functional(tmp_path, SCHEDULES[name], engine=engine, transfer_deadline=0.05) as run,
    ):
        assert bits(*run.value_and_gradient()) == in_memory
        assert run.report.lost_states or run.report.lost_tapes
        how = "in memory" if in_thread else "with a transfer thread"
        assert run.report.engine_reason.endswith(f"the run goes on {how}")
        assert run.report.engine_reason in caplog.messages
        assert bits(*run.value_and_gradient()) == in_memory
        assert bool(run.report.bytes_written) is not in_thread


def test_the_journal_ends_where_the_file_cannot_be_written(tmp_path, in_memory):
    path, schedule = tmp_path / "run.h5", SCHEDULES["Asynchronous"]
    options = {"engine": Stuck(write=5), "transfer_deadline": 0.05}
    with functional(path, schedule, **options) as run:
        assert bits(*run.value_and_gradient()) == in_memory
        assert "had not ended" in run.report.journal_failure
    release()
    with functional(path, schedule, resume=True) as run:
        assert bits(*run.value_and_gradient()) == in_memory


def test_other_calls_in_the_same_process_use_the_same_file(tmp_path, in_memory):
    path, schedule = tmp_path / "run.h5", SCHEDULES["Spilling"]
    stuck = {"engine": Stuck(write=3), "transfer_deadline": 0.05}
    for options in (stuck, {}, {"resume": True}):
        with functional(path, schedule, **options) as run:
            assert bits(*run.value_and_gradient()) == in_memory
