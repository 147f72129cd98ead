"""Another process, with another seed of its hashes, gives the same actions: so all ranks do."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from spilling_cases import KINDS

import adjoint
from adjoint.schedules import Spilling

PROGRAM = """
import hashlib
from adjoint.schedules.costs import Costs
from adjoint.schedules import Spilling
for schedule in {schedules}:
    print(hashlib.sha256(repr(list(schedule)).encode()).hexdigest())
"""


def test_in_another_process():
    schedules = [
        Spilling(400, 5, 7.3, costs=costs, leaf_steps=leaf, **options)
        for costs, options in KINDS
        for leaf in (1, 3)
    ]
    environment = os.environ | {
        "PYTHONHASHSEED": "1806",
        "PYTHONPATH": str(Path(adjoint.__file__).parent.parent),
    }
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(schedules=schedules)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    here = [hashlib.sha256(repr(list(each)).encode()).hexdigest() for each in schedules]
    assert there == here
