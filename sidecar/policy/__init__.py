"""Policies: reading what people write, the live catalog, and matching. Knows no operator and no destination by name."""
