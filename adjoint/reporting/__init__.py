"""What happened, in figures: reports, timelines, traces, tables, progress."""
