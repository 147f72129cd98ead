"""The numbers that steer planning and learning: each with its unit and its reason.

Those without a source are choices: results do not depend on them, only the time that a run takes.
"""

MIN_TRIAL_RUN_SECONDS = 10.0
"""Leaf sizes are tried in short sweeps if the run takes this long; in a shorter one each sweep
would be too short to tell them apart."""

SIMILAR_SIZES = 2
"""Transfers of pieces of tapes that are at most this many times as large as states, or as small,
are not measured beside those of states: their times follow from the sizes."""

EXPECTED_EVALUATIONS = 10
"""Evaluations of a `Functional` over which the first touch of its memory is spread."""

MIN_SAVING_WITHOUT_FILE = 0.03
"""Stop using the file if an in-memory schedule is predicted to be at least this fraction faster
than the evaluation that was just measured. Less than `planner.MIN_FILE_SAVING`, because the costs
are those of an evaluation and not of a probe."""

DEFAULT_MEMORY_SHARE = 4
"""Without ``memory=``, all ranks on a node together use one part in four of the memory that they
may use there: the rest is for the solver, the page cache and others."""

SPARE_ROWS = 64
"""Rows of a file beyond twice those planned. A row takes no disk space before it is written, and
spare rows allow the next evaluation a closer spacing."""

MAX_ROWS_OPEN_ENDED = 1 << 16
"""Rows of a file for a run whose end is not known. The index of that many takes 2 MiB a rank."""

MAX_ACCEPTED_STEPS = 1 << 27
"""Accepted steps that the file has room for if the end of the run is not known: 2 GiB, sparse."""

ASSUMED_STEPS = 10**6
"""Number of steps for which a run is planned whose end is not known: its leaf is that of a long
run."""

STEPS_PER_CALL = 1 << 16
"""Steps that `Functional.value` asks for at once if the end of the run is not known; the stepper
stops early at the end."""

MAX_JOINED_BYTES = 1 << 22
"""Gradients up to this size are joined, by dtype, into one reduction: a reduction of a few bytes
takes some 10 µs whatever its size, and a copy of 4 MiB less than a millisecond."""
