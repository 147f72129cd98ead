"""The simulated machine: whether a schedule is correct, what it costs, and when. Pure."""
