"""A sidecar that collects the inputs of machine-learning models in production.

The life of an exchange, and the folder where each step lives:

1. `proxy`     the relay passes the bytes of a predict call to the model and back, and keeps a bounded copy
2. `capture`   the engine reads caller and model version from the copy and queues it under that key
3. `policy`    the collectors that want this caller and this model version are matched
4. `workflow`  the pre-queue workflow looks at the model's output and says keep or filter
5. `queue`     each kept input becomes a job, one row, in one transaction with its count in the ledger
6. `workflow`  the post-queue workflow runs on the original input
7. `delivery`  the result is posted to the collector's destination; the answer decides the job's next state

`pipeline` holds the order of these steps and `app` joins the parts. Imports point down only.
"""

__version__ = "0.1.0"
