"""`python -m simulated_exchange`: the same program as the console script. Nothing else belongs here."""

from __future__ import annotations

from simulated_exchange.cli import main

if __name__ == "__main__":
    main()
