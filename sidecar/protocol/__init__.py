"""Predict protocols: bytes of one exchange → source, inputs and outputs, paired by index.

One file per protocol, one visible registry, pure functions; nothing here runs before the bytes have been forwarded.
Source of the shapes: the predict-protocols contract. `routes` alone is also used by the relay, so it imports nothing.
"""
