"""The follower's side of a venue: one port, one adapter per way to reach a venue.

Belongs here: translation between a venue's words and the port's. Does not belong here: decisions.
"""
