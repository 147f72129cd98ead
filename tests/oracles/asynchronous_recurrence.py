"""Event times of the asynchronous scheme from its recurrences, with one staging buffer."""


def makespan(num_steps, interval, segment_advances, *, u_f, u_b, w, r):
    """Return the time at which the last step is reversed.

    ``segment_advances(length, is_first)`` is the number of steps that the reversal of a segment
    advances. The states of all boundaries except the last two are read back.
    """
    boundaries = (num_steps - 1) // interval
    last = boundaries * interval
    arrives, written = [], []
    for k in range(boundaries):
        arrive = arrives[k - 1] + interval * u_f if k else 0.0
        if k:
            arrive = max(arrive, written[k - 1])
        arrives.append(arrive)
        written.append(arrive + w)
    now = arrives[-1] + interval * u_f if boundaries else 0.0
    now += (
        (num_steps - last) * u_b + u_f + segment_advances(num_steps - last, boundaries == 0) * u_f
    )
    if boundaries:
        now = max(
            now, written[-1]
        )  # the state of the boundary before the last one stayed in memory
    for k in range(boundaries - 1, -1, -1):
        ready = now + r
        now += segment_advances(interval, k == 0) * u_f + interval * u_b
        if k:
            now = max(now, ready)
    return now
