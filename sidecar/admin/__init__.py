"""The HTTP API on its own port: the contract's collectors, workflows and inputs; the ledger, health and the page."""
