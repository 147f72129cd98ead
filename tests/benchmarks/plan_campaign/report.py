"""What was found about each configuration, held against the bounds, as lines and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from plan_campaign.cases import REFERENCE, ratio_to_reference
from plan_campaign.later import MAX_RATIO, is_decided
from plan_campaign.leaves import shares
from plan_campaign.rounds import MIN_ROUNDS, Times
from plan_campaign.statistics import MIN_JUDGED, VERDICTS, Judged, judge
from plan_campaign.ways import PLANNED

MAX_FIRST, FIRST_SECONDS = 1.10, 0.05
"""Of a first evaluation to that of the rival with the best first one, and seconds on top."""
PLANNING_SECONDS = 0.05
PLANNING_SHARE = {False: 0.02, True: 0.05}
"""Planning may take as much, or this share of the run, without and with a file."""
FIRST_PROCESSES = 3
MAX_FIRST_RIVAL = 1.5
"""Rivals whose later evaluations take more, in parts of the best one's, are not timed first."""
PREDICTED = (0.85, 1.15)
"""Of what evaluation 3 was predicted to take, over what it took."""


@dataclass(slots=True)
class Row:
    """One configuration."""

    name: str
    file: bool
    found: dict[str, Any] = field(default_factory=dict)
    """What `later` returned."""
    firsts: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    """What `first` returned, by way."""
    untouched: dict[str, float] = field(default_factory=dict)
    """The planned way's first evaluation before anything touched the memory; reported only."""
    failure: str = ""
    """Why there is nothing else."""

    @property
    def judged(self) -> Judged | None:
        """The plan beside the best rival; None if there are no rounds, or no rival."""
        return _judged(self.times.by_way) if self.found else None

    @property
    def times(self) -> Times:
        """The times of all ways."""
        return Times(**self.found["times"])

    @property
    def verdict(self) -> str:
        """Whether the plan is as good as the best rival."""
        return "not decided" if self.judged is None else self.judged.ratio.verdict(MAX_RATIO)

    @property
    def needs_rounds(self) -> bool:
        """Whether more rounds should be played."""
        if not self.found:
            return True
        times = self.times
        return not times.are_all and (times.count < MIN_ROUNDS or not is_decided(times))

    @property
    def missing_firsts(self) -> list[str]:
        """The ways whose first evaluation should be timed next, in another process each."""
        slow = {name for name, ratio in self.times.dropped.items() if ratio > MAX_FIRST_RIVAL}
        ways = [name for name in (PLANNED, *self.found["rivals"]) if name not in slow]
        counts = {name: len(self.firsts.get(name, [])) for name in ways}
        least = min(counts.values())
        return [] if least >= FIRST_PROCESSES else [n for n, c in counts.items() if c == least]

    @property
    def prediction(self) -> float:
        """Predicted over taken."""
        return self.found["predicted"] / self.found["taken"] if self.found else float("nan")

    @property
    def planning(self) -> tuple[float, float]:
        """Seconds of planning, and what they may be."""
        firsts = self.firsts.get(PLANNED) or [self.found]
        seconds = median(each["planning"] for each in firsts)
        run = median(each["run"] for each in firsts)
        return seconds, max(PLANNING_SECONDS, PLANNING_SHARE[self.file] * run)

    @property
    def first(self) -> tuple[float, float, str] | None:
        """Seconds of the planned first evaluation, those of the best rival's, and that rival."""
        seconds = {name: median(x["seconds"] for x in each) for name, each in self.firsts.items()}
        if len(seconds) < 2:
            return None
        planned = seconds.pop(PLANNED)
        best = min(seconds, key=lambda name: seconds[name])
        return planned, seconds[best], best

    @property
    def is_late(self) -> bool:
        """Whether the planned first evaluation takes too long."""
        return self.first is not None and self.first[0] > MAX_FIRST * self.first[1] + FIRST_SECONDS

    @property
    def faults(self) -> list[str]:
        """What is wrong, whatever the time."""
        if not self.found:
            return [self.failure] if self.failure else []
        memory, used = self.found["memory"], self.found["bytes"]
        over = [name for name, taken in used.items() if memory is not None and taken > memory]
        faults = [f"{name}: {used[name]} bytes of {memory}" for name in over]
        return faults + [f"{name}: other gradient" for name in self.found["differing"]]

    def line(self) -> str:
        """Return the row of the table."""
        if not self.found:
            return f"| {self.name} | {self.failure} | | | | | |"
        cells = [self.name, self.found["schedule"], *_ratio(self), _first(self)]
        planning, allowed = self.planning
        cells.append(f"{planning:.3f} of {allowed:.3f}{' !' * (planning > allowed)}")
        low, high = PREDICTED
        cells.append(f"{self.prediction:.2f}{' !' * (not low <= self.prediction <= high)}")
        return "| " + " | ".join(cells) + " |"


HEADER = (
    "| configuration | planned | best rival | planned / rival | first: planned, rival s | "
    "planning s | predicted / taken |\n|---|---|---|---|---|---|---|"
)


def _judged(times: Mapping[str, Sequence[float]]) -> Judged | None:
    rivals = {name: taken for name, taken in times.items() if name != PLANNED}
    return judge(times[PLANNED], rivals) if len(times[PLANNED]) > 1 and rivals else None


def _ratio(row: Row) -> tuple[str, str]:
    judged, verdict = row.judged, row.verdict
    void = len(row.times.of_void[PLANNED])
    if judged is None or judged.ratio.count < MIN_JUDGED:
        judged = _judged(row.times.all_rounds)
    if judged is None:
        return "", verdict
    return judged.rival, f"{judged.ratio}, {verdict}" + f"; {void} rounds void" * bool(void)


def _first(row: Row) -> str:
    if row.first is None:
        return ""
    planned, best, rival = row.first
    return f"{planned:.2f}, {best:.2f} ({rival}){' !' * row.is_late}"


CASES_HEADER = "| case | way | ratio | bound | |\n|---|---|---|---|---|"


def case_lines(name: str, bounds: Mapping[str, float], found: Mapping[str, Any]) -> list[str]:
    """Return the rows of a case: one of each way."""
    times = Times(**found["times"])
    void = len(times.of_void[REFERENCE])
    few = times.count < MIN_JUDGED
    lines = []
    for way, bound in bounds.items():
        ratio = ratio_to_reference(times.all_rounds if few else times.by_way, way)
        verdict = "not decided" if few else ratio.verdict(bound)
        words = verdict + f"; {void} rounds void" * bool(void)
        lines.append(f"| {name} | {way} | {ratio} | {bound:g} | {words} |")
    return lines


LEAVES_HEADER = (
    "| wave, 32 states | best leaf | plans within 5 % | mean, worst loss | plans | by leaf |\n"
    "|---|---|---|---|---|---|"
)


def leaves_line(run: str, found: Mapping[str, Any]) -> str:
    """Return the row of the planner's leaves of one run."""
    plans = "; ".join(f"{count}: {plan}" for plan, count in found["plans"].items())
    told = shares(found)
    losses = f"{told['mean loss']:.1%}, {told['worst loss']:.1%}"
    by_leaf = ", ".join(f"{name[5:]}: {ratio:.2f}" for name, ratio in told["by leaf"].items())
    return f"| {run} | {told['best']} | {told['near']:.0%} | {losses} | {plans} | {by_leaf} |"


def summary(rows: Sequence[Row]) -> list[str]:
    """Return how the campaign as a whole came out."""
    played = [row for row in rows if row.found]
    verdicts = [row.verdict for row in played]
    low, high = PREDICTED
    near = sum(low <= row.prediction <= high for row in played)
    timed = [row for row in played if row.first is not None]
    late = sum(row.is_late for row in timed)
    slow = sum(row.planning[0] > row.planning[1] for row in played)
    counts = ", ".join(f"{word} {verdicts.count(word)}" for word in VERDICTS)
    lines = [
        f"{len(played)} of {len(rows)} configurations played",
        f"planned within {MAX_RATIO:g} of the best rival: {counts}",
        f"first evaluations too slow: {late} of {len(timed)}",
        f"planning too slow: {slow} of {len(played)}",
        f"predictions within 15 %: {near} of {len(played)}",
    ]
    if len(rows) == 30 and verdicts.count("not decided") > 3:
        lines.append("void: the machine was busy with something else")
    return lines + [f"fault: {row.name}: {fault}" for row in rows for fault in row.faults]
