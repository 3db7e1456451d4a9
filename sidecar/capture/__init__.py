"""The engine's end of capture: frames in, caller and source read, the async queue keyed by both.

Never parses a body before it has left the queue, and lets no credential past `arrival`.
"""
