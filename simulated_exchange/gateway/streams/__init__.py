"""Sockets: market data, an account's own events, and order entry.

Belongs here: connections, subscriptions, pushes. Does not belong here: wire names (`gateway.translate`).
"""
