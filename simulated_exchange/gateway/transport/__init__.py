"""Connections: HTTP/1.1 and WebSocket over asyncio's transports.

Belongs here: bytes, limits, time-outs, the order of answers. Does not belong here: what is asked.
"""
