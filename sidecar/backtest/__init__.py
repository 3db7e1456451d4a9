"""Back-tests: what a policy would have kept of recorded exchanges. Nothing is posted, queued or counted in the ledger.

`trial` runs one policy, `comparison` two; `watched` counts what each node does; `report` says it as JSON; `drafts`
finds the policy, `sources` the exchanges; `recorder` keeps a sample of what passes, only while somebody asks it to.
"""
