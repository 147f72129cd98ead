"""One evaluation after another.

`Options` are parsed, `plan_run` makes a `RunPlan`, and `Resources` are opened for it; then
`Driver.evaluate` plays it and returns the plan for the next evaluation.
"""
