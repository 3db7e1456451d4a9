"""The roof: builds the relay and the engine, starts bottom-up, stops top-down; the only package that knows all parts.

One file per kind of process (relay, worker, engine): a relay must not import what the engine needs.
"""
