"""Pure rooms of the relay: data in, data out. No clock, I/O, randomness or logging in here."""
