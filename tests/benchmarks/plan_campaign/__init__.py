"""Plans against schedules given by hand, on real computations: the parts of `campaign.py`.

`models` are the computations, `configurations` the runs of them, `ways` the schedules that fit.
`rounds` plays them, `samples` judges the times, `noise` and `statistics` say which count.
"""
