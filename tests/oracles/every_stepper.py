"""Every stepper there is, as a small problem on which the stepper contract is tried.

The tests of a package of `solvers` have its problems, as `STEPPERS` in their `stepper_cases.py`.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from adaptive_pendulum import AdaptivePendulum
from basins import NUM_STEPS
from pendulums import CopiedPendulums, Pendulums
from stepper_case import Case

TESTS = Path(__file__).parents[1]

STEPPERS = {
    "pendulums": Case(lambda: Pendulums(3, NUM_STEPS)),
    "pendulums, copied": Case(lambda: CopiedPendulums(3, NUM_STEPS), adopts=False),
    "pendulum that adapts its steps": Case(AdaptivePendulum, adopts=False),
}

for path in sorted(TESTS.glob("solvers/*/stepper_cases.py")):
    spec = spec_from_file_location(f"{path.parent.name}_cases", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    STEPPERS |= module.STEPPERS


def every_stepper(**wanted) -> list:
    """Return the cases as parameters of a test; with `wanted`, those with these attributes."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.needs(module) for module in case.needs])
        for name, case in STEPPERS.items()
        if all(getattr(case, key) == value for key, value in wanted.items())
    ]
