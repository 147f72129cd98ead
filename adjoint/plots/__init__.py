"""Pictures of schedules and of runs; matplotlib is imported only here."""
