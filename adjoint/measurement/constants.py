"""The numbers that steer measuring: how long, how often, and on how large states.

They balance the time that a measurement takes against its error. All were chosen on machines with
2 to 64 cores, by repeating measurements there (`tests/benchmarks/engine_overlap.py`,
`tests/benchmarks/never_slower.py`): a tenth of a second for each figure keeps a whole probe within
a second or two, and a short measurement is repeated because other programs make it longer.
"""

LONG_SECONDS = 0.03
"""A step, a leaf or a transfer that was timed for this long need not be timed again."""

# -- steps (`probe`) --------------------------------------------------------------------------

REVERSAL = 3
"""A run takes about as many times what stepping forward does: a step back takes two forward."""

PROBED_SHARE = 0.02
"""Share of the run that timing single leaves may take, if that is more than `LONG_SECONDS`."""

MIN_LEAF_PAIRS, MAX_LEAF_PAIRS = 3, 5
"""A leaf is advanced over, recorded and pulled back this often."""

TRIAL_SECONDS = 0.1
"""A longer sweep over a few leaves shows nothing more."""

MIN_ROUNDS, MAX_ROUNDS = 3, 9
"""Rounds of such sweeps, one for each leaf size: the median counts."""

MIN_TRIAL_SAVING = 0.03
"""A leaf size must save this share of the run to be taken instead of the one expected to be best:
repeated trials differ by as much."""

LEAVES_PER_SLOT = 2
"""Leaves of a short gradient for each slot: enough that steps are repeated, as in a long run."""

# -- engines (`engines`) ----------------------------------------------------------------------

LARGE_STATE_BYTES = 1 << 20
"""States from this size on are written past the page cache, smaller ones through it."""

REMEMBERED_SECONDS = 600.0
"""For so long what was measured of a folder is believed: other programs may use the same disk."""

MAX_PROBED_BYTES = 16 << 20
"""Of larger states this much is written, and the costs are scaled."""

MAX_FILE_BYTES = 64 << 20
"""Size of the file that engines are measured on, unless `MIN_ROWS` states need more."""

MIN_ROWS, MAX_ROWS = 6, 256
"""Fewest and most states that such a file holds."""

MIN_HIDDEN_SHARE = 0.5
"""An engine that hides less of a write than this share does not overlap with computing."""

SAME_SEEN_SHARE = 0.1
"""Engines whose seen times differ by less than this share of a write are equally good."""

# -- transfers beside a computation (`transfers`) ---------------------------------------------

MIN_COMPUTING_SECONDS = 0.01
"""A shorter computation is not timed exactly enough."""

MAX_PAUSES = 64
"""Most times that transfers can make progress during one computation."""

PAIRS_SECONDS = 0.1
"""A computation is timed alone and with transfers until it has taken this long in total."""

MAX_PAIRS = 5
"""But at most this often."""

SUSPECT_SLOWDOWN = 1.1
"""A larger slowdown may come from something else, if the computation was short."""

SUSPECT_SECONDS = 0.2
"""Longer computations average over what else the machine does."""

MIN_SUSPECT_PAIRS = 3
"""A suspect computation is timed at least this often: the least slowdown counts."""

MAX_STEPS_TO_TRANSFERS = 50
"""In a computation longer than its transfers by this factor, noise exceeds the slowdown."""

# -- memory (`touch`) -------------------------------------------------------------------------

TOUCHED_BYTES = 16 << 20
"""Size of the new memory that is touched to see how long that takes."""

# -- without a solver (`synthetic`) -----------------------------------------------------------

MAX_SYNTHETIC_BYTES = 32 << 20
"""Larger states are measured at this size, and the costs are scaled: seconds, not minutes."""

MAX_SYNTHETIC_STEPS = 10**9
"""Steps of the synthetic stepper: more than a probe takes."""
