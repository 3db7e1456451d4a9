"""Posting kept inputs where their collector wants them: one file per destination, one visible registry.

`destination` is the interface, `registry` the list, `judge` what an answer means, `backoff` when to try again. Knows
no queue: whoever delivers turns an outcome into a job's next state.
"""
