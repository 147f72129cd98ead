"""Gradients whose file fails: writes, reads, flipped bits, a full disk, on any rank, at random."""

import random
from pathlib import Path

from fault_run import NUM_PENDULUMS, SCHEDULES, bytes_of, evaluate
from faulty_engine import Faults

from adjoint.parallel import status_exchange

NUM_STEPS = 300

STATE_BYTES = 2 * 8 * NUM_PENDULUMS


def drawn(seed, ranks):
    """Return a schedule's name, and what is to go wrong."""
    draw = random.Random(seed)
    name = draw.choice(list(SCHEDULES))
    faults = Faults.random(seed, ranks=ranks, transfers=25, state_bytes=STATE_BYTES)
    return name, faults


def failed(seed, comm, folder: Path, references):
    """Run one gradient on a failing disk; return what is wrong with it, or None, and its report."""
    status_exchange.EXCHANGE_SECONDS = 0.002
    ranks = 1 if comm is None else comm.Get_size()
    name, faults = drawn(seed, ranks)
    leaf = SCHEDULES[name](NUM_STEPS).leaf_steps
    case = {"seed": 2, "steps": NUM_STEPS}
    if leaf not in references:
        references[leaf] = bytes_of(evaluate({**case, "leaf": leaf}, comm, folder))
    result = evaluate({**case, "schedule": name}, comm, folder, engine=faults)
    trouble = None
    if bytes_of(result) != references[leaf]:
        trouble = "other bits"
    return trouble, name, faults, result.report
