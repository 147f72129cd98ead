"""One evaluation after another: options, the plan, what it takes, and playing it."""
