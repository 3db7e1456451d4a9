"""Workflows: a graph of operators and models, compiled once, run on each input; pure.

`graph` compiles, `run` runs, `merge` joins what comes out, `operators` is what nodes do. A model is never called from
here: the request is yielded to whoever runs the graph.
"""
