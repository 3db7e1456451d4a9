"""The roof: builds the relay and the engine, starts bottom-up, stops top-down; the only package that knows all parts.

Two files, one per kind of process: the relay must not import what the engine needs.
"""
