"""Rounds: every way once, in random order, and one of them twice, until the times agree."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plan_campaign.noise import Noise, differ

MIN_ROUNDS, MAX_ROUNDS = 7, 25
DROP_ROUNDS, DROP_RATIO = 5, 1.10
"""From so many rounds on, a way is left out that takes this much longer than the best one."""


@dataclass(slots=True)
class Times:
    """Seconds by way and round; of the way that is played twice, the geometric mean."""

    by_way: dict[str, list[float]] = field(default_factory=dict)
    """Of the rounds that count, and the ways that were played in all of them."""
    of_void: dict[str, list[float]] = field(default_factory=dict)
    """The same of the rounds that do not count."""
    dropped: dict[str, float] = field(default_factory=dict)
    """By way that was left out, its time over that of the best one."""

    @property
    def all_rounds(self) -> dict[str, list[float]]:
        """The times of all rounds: they show large ratios where too few rounds count."""
        return {name: taken + self.of_void[name] for name, taken in self.by_way.items()}

    @property
    def count(self) -> int:
        """The number of rounds that count."""
        return max(map(len, self.by_way.values()), default=0)

    @property
    def played(self) -> int:
        """The number of rounds, void ones included."""
        return max(map(len, self.all_rounds.values()), default=0)

    @property
    def are_all(self) -> bool:
        """Whether no more rounds are played, decided or not."""
        return self.played >= MAX_ROUNDS

    def drop(self, kept: str) -> None:
        """Leave out the ways that are much slower than the best one in the odd rounds."""
        if self.count < DROP_ROUNDS:
            return
        base = np.asarray(self.by_way[kept])
        ratios = {
            name: float(np.median((np.asarray(taken) / base)[::2]))
            for name, taken in self.by_way.items()
            if name != kept
        }
        best = min(ratios.values(), default=1.0)
        for name, ratio in ratios.items():
            if ratio > DROP_RATIO * best:
                self.dropped[name] = ratio / best
                del self.by_way[name], self.of_void[name]


def play(
    ways: Mapping[str, Callable[[], float]],
    twice: str,
    is_decided: Callable[[Times], bool],
    times: Times | None = None,
    *,
    drops: bool = False,
    comm: Any = None,
    seconds: float = np.inf,
) -> Times:
    """Play rounds until the times decide, or there were too many; return all times.

    Parameters
    ----------
    ways
        By name, what evaluates once and returns the seconds; on ranks, collectively.
    twice
        The way that is in every round twice: a round in which its times differ is void.
    is_decided
        Whether the times of the rounds so far are enough.
    times
        Of the rounds that were played before, of the same ways.
    drops
        Whether to leave out ways that are much slower than the best one.
    comm
        The ranks, which all play the same rounds. The slowest rank's time counts.
    seconds
        No round begins that is expected to end later than this.
    """
    times = times or Times()
    for name in ways:
        if name not in times.dropped:
            times.by_way.setdefault(name, [])
            times.of_void.setdefault(name, [])
    order = np.random.default_rng(times.played)
    began, longest = time.perf_counter(), 0.0
    while not times.are_all:
        if _any(time.perf_counter() + longest - began > seconds, comm):
            break
        if times.count >= MIN_ROUNDS and _any(is_decided(times), comm):
            break
        noise, round_began = Noise(), time.perf_counter()
        taken: dict[str, list[float]] = {name: [] for name in times.by_way}
        for name in order.permutation([*taken, twice]).tolist():
            taken[name].append(_slowest(ways[name](), comm))
        is_void = _any(noise.is_heavy or differ(*taken[twice]), comm)
        for name, found in taken.items():
            kept = times.of_void if is_void else times.by_way
            kept[name].append(float(np.exp(np.mean(np.log(found)))))
        if drops:
            times.drop(twice)
        longest = max(longest, time.perf_counter() - round_began)
    return times


def _slowest(seconds: float, comm: Any) -> float:
    return seconds if comm is None else max(comm.allgather(seconds))


def _any(value: bool, comm: Any) -> bool:
    return bool(value) if comm is None else any(comm.allgather(bool(value)))
