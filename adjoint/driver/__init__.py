"""One evaluation after another: `Options` are parsed, `plan_run` makes a `RunPlan`, `Resources` are
opened for it, and `Driver.evaluate` plays it and returns the plan for the next one.
"""
