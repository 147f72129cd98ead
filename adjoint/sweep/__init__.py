"""One forward and one reverse sweep: the actions of a schedule, carried out."""
