"""What both programs need to tell people: a leader's contradiction as a file, messages through apprise.

Belongs here: what would otherwise stand once in the relay and once in the follower. Does not belong here:
what is told and when (each program's own), settings and their errors.
"""
