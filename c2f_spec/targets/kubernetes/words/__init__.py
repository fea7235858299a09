"""API objects → sentences: why a pod does not run, where a stage is, what to do about it. Pure, no API call.

`standing.py` decides which object says most; the others translate one kind of message each. What no rule knows is
passed on as the cluster said it, so that nothing is hidden by being unknown.
"""
