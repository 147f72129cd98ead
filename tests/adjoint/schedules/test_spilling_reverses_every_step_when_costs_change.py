"""With costs updated at any moment, it stays a correct reversal within its slots and its file."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from losing import Losing
from spilling_cases import spillings


def updating(schedule):
    """Return a function that updates a stream to costs up to four times as high or low."""

    def update(stream, chance):
        costs = schedule.costs
        change = {
            name: getattr(costs, name) * 4 ** chance.uniform(-1, 1)
            for name in ("advance", "pull_back", "write", "read")
        }
        slower = {name: chance.choice([1, 1.5, 3]) for name in ("slowdown", "read_slowdown")}
        stream.update_costs(replace(costs, **slower, **change))

    return update


@settings(max_examples=150)
@given(spillings(max_slots=8), st.integers(0, 99), st.sampled_from([0, 0, 0.2]))
def test_on_any(schedule, seed, losses):
    inner = getattr(schedule, "schedule", schedule)
    run = Losing(
        inner,
        schedule.num_steps,
        seed,
        writes=losses,
        reads=losses,
        update=updating(inner),
    ).play()
    assert run.toy.most_units <= inner.num_slots
    assert run.toy.most_in_file <= inner.file_states
