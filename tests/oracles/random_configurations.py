"""Random configurations: run length, slots and costs, each log-uniform over its range.

Costs are in units of advancing one step. The file has no limit. A configuration depends on its seed
alone, so a failure can be reproduced by itself.
"""

import math
import random
from dataclasses import dataclass

from adjoint.planning.budget import Budget
from adjoint.schedules.costs import Costs


@dataclass(frozen=True)
class Configuration:
    num_steps: int
    num_slots: int
    write: float
    read: float
    pull_back: float
    """Reversing a step from its own state: `u_b`."""
    with_tapes: bool = False
    """Whether a tape may be kept in a slot. Then taping takes a step, which is 1 of `u_b`."""

    @property
    def costs(self):
        moving = {"write": self.write, "read": self.read}
        if self.with_tapes:
            return Costs(advance=1, unreached=1, pull_back=self.pull_back - 1, **moving)
        return Costs(advance=1, pull_back=self.pull_back, **moving)

    @property
    def budget(self):
        return Budget({1: self.num_slots}, self.num_steps, {1: 1} if self.with_tapes else {})


def configuration(seed, *, max_steps=100_000):
    """Draw one."""
    draw = random.Random(seed)
    return Configuration(
        num_steps=round(log_uniform(draw, 1, max_steps)),
        num_slots=round(log_uniform(draw, 2, 200)),
        write=log_uniform(draw, 0.01, 1000),
        read=log_uniform(draw, 0.01, 1000),
        pull_back=log_uniform(draw, 0.5, 10),
    )


def small_configuration(seed):
    """Draw one with so few steps that the optimum can be searched for; costs are eighths.

    Not all states fit in memory, since otherwise there is nothing to decide.
    """
    draw = random.Random(seed)
    num_slots = draw.randint(2, 4)
    return Configuration(
        num_steps=draw.randint(num_slots + 2, 12),
        num_slots=num_slots,
        write=eighths(log_uniform(draw, 0.1, 20)),
        read=eighths(log_uniform(draw, 0.1, 20)),
        pull_back=eighths(log_uniform(draw, 0.5, 10)),
    )


def log_uniform(draw, low, high):
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def eighths(value):
    return max(1, round(8 * value)) / 8
