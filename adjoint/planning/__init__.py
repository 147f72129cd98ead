"""Which schedule to play: costs and budgets in, the best schedule out. Pure."""
