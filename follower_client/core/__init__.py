"""The follower's pure core: data in, data out.

Belongs here: what a signal means for one account, and how an order may live.
Does not belong here: a clock, I/O, randomness, logging. Time is always an argument.
"""
