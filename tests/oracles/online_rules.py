"""The cost of keeping states while the end is unknown, and its minimum, by brute force."""

from functools import cache

from revolve_dynamic_program import fewest

COST = {}


def t(length, slots):
    """Return the fewest advances for `length` leaves; the start takes one of the slots."""
    if not COST:
        COST.update({key: advances for key, (advances, _stores) in fewest(160, 12).items()})
    return COST[length, slots]


def cost(kept, end, num_slots):
    """Return the advances of a run with these kept states that ends at `end`."""
    ends = [*kept[1:], end]
    gaps = [stop - start for start, stop in zip(kept, ends, strict=True)]
    return end + sum(t(length, num_slots - i) for i, length in enumerate(gaps))


def least_cost(end, num_slots):
    """Return the same for the best states that could have been kept."""

    @cache
    def reverse(length, slots):
        found = [t(length, slots)]
        if slots > 1:
            found += [t(j, slots) + reverse(length - j, slots - 1) for j in range(1, length)]
        return min(found)

    return end + reverse(end, num_slots)


def following_the_rule(kept, num_slots, last_end):
    """Yield each next end and the states kept if the run ends there.

    All slots are taken. At each leaf, discarding each of the states is tried.
    """
    kept = list(kept)
    for end in range(kept[-1] + 1, last_end + 1):
        yield end, tuple(kept)
        tried = [
            (cost([*kept[:i], *kept[i + 1 :], end], end + 1, num_slots), i)
            for i in range(1, num_slots)
        ]
        best, index = min(tried)
        if best < cost(kept, end + 1, num_slots):
            kept = [*kept[:index], *kept[index + 1 :], end]


def least_guarantee(num_slots, last_end, loss):
    """Return the least bound that a rule can guarantee for the loss, wherever the run ends.

    `loss(kept, end)` is the loss of a run that ends at `end`. All rules are tried at once: for all
    states that may be kept at an end, the largest loss up to there that cannot be avoided.
    """
    reached = {(0,): loss((0,), 1)}
    for end in range(1, last_end):
        after = {}
        for kept, largest in reached.items():
            choices = [kept]
            if len(kept) < num_slots:
                choices.append((*kept, end))
            choices += [(*kept[:i], *kept[i + 1 :], end) for i in range(1, len(kept))]
            for choice in choices:
                found = max(largest, loss(choice, end + 1))
                after[choice] = min(found, after.get(choice, found))
        reached = after
    return min(reached.values())
