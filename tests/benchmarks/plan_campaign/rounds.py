"""Rounds: every way once, in random order, and one of them twice, until the times agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plan_campaign.noise import Noise, differ

MIN_ROUNDS, QUICK_ROUNDS, MAX_ROUNDS = 7, 12, 25


@dataclass(slots=True)
class Times:
    """Seconds by way and round."""

    by_way: dict[str, list[float]] = field(default_factory=dict)
    """Of the rounds that count. Of the way that is played twice, the geometric mean."""
    of_void: dict[str, list[float]] = field(default_factory=dict)
    """The same of the rounds that do not count."""

    @property
    def all_rounds(self) -> dict[str, list[float]]:
        """The times of all rounds: they show large ratios where too few rounds count."""
        return {name: taken + self.of_void[name] for name, taken in self.by_way.items()}

    @property
    def count(self) -> int:
        """The number of rounds that count."""
        return len(next(iter(self.by_way.values())))


def play(
    ways: Mapping[str, Callable[[], float]],
    twice: str,
    is_decided: Callable[[Mapping[str, list[float]]], bool],
    *,
    comm: Any = None,
    max_rounds: int = MAX_ROUNDS,
) -> Times:
    """Play rounds until the times decide, or there were too many.

    Parameters
    ----------
    ways
        By name, what evaluates once and returns the seconds; on ranks, collectively.
    twice
        The way that is in every round twice: a round in which its times differ is void.
    is_decided
        Whether the times of the rounds so far are enough.
    comm
        The ranks, which all play the same rounds. The slowest rank's time counts.
    max_rounds
        The most rounds, void ones included.
    """
    order = np.random.default_rng(0)
    times = Times({name: [] for name in ways}, {name: [] for name in ways})
    for _ in range(max_rounds):
        noise, taken = Noise(), {name: [] for name in ways}
        for name in order.permutation([*ways, twice]).tolist():
            taken[name].append(_slowest(ways[name](), comm))
        is_void = _any(noise.is_heavy or differ(*taken[twice]), comm)
        for name, found in taken.items():
            kept = times.of_void if is_void else times.by_way
            kept[name].append(float(np.exp(np.mean(np.log(found)))))
        if times.count >= MIN_ROUNDS and _any(is_decided(times.by_way), comm):
            break
    return times


def _slowest(seconds: float, comm: Any) -> float:
    return seconds if comm is None else max(comm.allgather(seconds))


def _any(value: bool, comm: Any) -> bool:
    return bool(value) if comm is None else any(comm.allgather(bool(value)))
