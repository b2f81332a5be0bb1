"""The Bybit v5 wire: REST, sockets, signatures, and the simulator's own namespace.

Belongs here: bytes in, bytes out. Does not belong here: rules of trading (the engine's) and memory of what
happened (`simulated_exchange.ledger`). Wire names exist in `gateway.translate` only.
"""
