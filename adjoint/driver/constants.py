"""The numbers that steer planning and learning: each with its unit and its reason.

Those without a source are choices: results do not depend on them, only the time that a run takes.
"""

PROBED_LEAVES = (1, 4, 16)
"""Leaf sizes to measure, in steps, where memory and the length of the run allow it. What other
leaves cost is interpolated, linear in the logarithm of their size."""

MIN_LEAVES_TO_PROBE = 32
"""A leaf size is measured only if the run has at least this many leaves of it: measuring must take
a small fraction of the run."""

MIN_FILE_SAVING = 0.05
"""Plan with a file only if that is predicted to save this fraction of the time: predictions err by
a few per cent (docs/long_runs.md, "How near to the prediction")."""

ADAPTIVE_TOLERANCE = 0.02
"""Prefer an adaptive schedule if its predicted time is within this fraction of the best: it can
correct what was measured wrongly."""

MIN_SAVING_WITHOUT_FILE = 0.03
"""Stop using the file if an in-memory schedule is predicted to be at least this fraction faster
than the evaluation that was just measured. Less than `MIN_FILE_SAVING`, because the costs are those
of an evaluation and not of a probe."""

CHEAP_MEMORY_BYTES = 64 << 20
"""If this much memory on each rank holds every state, the smallest leaf is chosen, which computes
nothing twice: touching it for the first time takes 50 ms at 1.3 GB/s (`adjoint.storage.blocks`)."""

DEFAULT_MEMORY_SHARE = 4
"""Without ``memory=``, all ranks on a node together use one part in four of the memory that they
may use there: the rest is for the solver, the page cache and others."""

OBJECT_BYTES = 1 << 10
"""What Python takes for the arrays of a block, whatever their size: measured, 970 bytes for one."""

FREE_BYTES = 16 << 20
"""Memory that objects may take beside the budget, as the interpreter and its libraries do."""

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

MAX_STEPS = 1 << 62
"""No run has more steps; stands for "unlimited" in 64-bit arithmetic."""

STEPS_PER_CALL = 1 << 16
"""Steps that `Functional.value` asks for at once if the end of the run is not known; the stepper
stops early at the end."""

MAX_JOINED_BYTES = 1 << 22
"""Gradients up to this size are joined, by dtype, into one reduction: a reduction of a few bytes
takes some 10 µs whatever its size, and a copy of 4 MiB less than a millisecond."""
