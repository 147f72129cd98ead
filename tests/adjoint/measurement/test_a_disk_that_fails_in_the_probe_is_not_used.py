"""An engine whose writes or reads fail while it is measured is not used; the run continues."""

import pytest
from coupled_pendulums import CoupledPendulums
from fault_run import bytes_of
from faulty_engine import Faults
from throttled_engine import Throttle

import adjoint
from adjoint.errors import TransferError
from adjoint.measurement.engines import choose_engine
from adjoint.measurement.synthetic import opener, synthetic_probe
from adjoint.parallel import communicator
from adjoint.planning import draft
from adjoint.schedules import StoreAll

NUM_STEPS = 120

FULL = Faults(full_after_bytes=0, spares_probe=False)

FAULTS = {
    "disk full": FULL,
    "EIO when writing": Faults(failed_writes=(2,), spares_probe=False),
    "EIO when reading": Faults(failed_reads=(1,), spares_probe=False),
    "flipped bits": Faults(flipped_writes=tuple(range(1, 200)), spares_probe=False),
}


def gradient(**options):
    return adjoint.gradient(CoupledPendulums(50, NUM_STEPS), NUM_STEPS, **options)


@pytest.mark.parametrize("file", ["kept.h5", ""], ids=["kept", "temporary"])
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_the_gradient_uses_no_file(faults, file, tmp_path, monkeypatch):
    monkeypatch.setattr(draft, "MIN_GAIN_PER_PROBE", 0)
    result = gradient(memory=12000, file=tmp_path / file, engine=faults)
    report = result.report
    leaf = int(report.schedule.partition("leaves of ")[2].partition(",")[0] or 1)
    assert bytes_of(result) == bytes_of(gradient(schedule=StoreAll(NUM_STEPS, leaf_steps=leaf)))
    assert "failed in the probe" in report.reason
    assert report.bytes_written == 0
    assert not report.lost_states


def test_another_engine_is_used_instead(tmp_path):
    comm = communicator(None)
    survey = synthetic_probe(10000, comm).engines([FULL, Throttle()], opener(tmp_path, comm))
    choice = choose_engine(survey)
    assert isinstance(choice.engine, Throttle)
    assert isinstance(survey.refused[FULL], TransferError)
    assert not list(tmp_path.iterdir())
