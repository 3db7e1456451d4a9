"""The durable queue of jobs, one input for one collector each, and the ledger that accounts for them.

`states` is the transition table, `jobs` the queue on SQL, `leases` who gets which job next, `ledger` the sums, `values`
what goes in and comes out.
"""
