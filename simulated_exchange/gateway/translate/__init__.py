"""The only place that speaks Bybit: wire names and texts on one side, our words on the other.

Belongs here: pure functions from bodies and queries to typed requests, and from views to rows and frames.
Does not belong here: I/O, the engine, any decision beyond the shape of a message.
"""
