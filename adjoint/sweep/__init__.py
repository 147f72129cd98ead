"""A schedule's actions, carried out: one forward and one reverse sweep."""
