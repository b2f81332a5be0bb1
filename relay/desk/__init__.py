"""What leaders and ops do by hand: set up, invite, list, put out, look for what is wrong.

Belongs here: one module per command, each ending in text for people or data for machines. Does not belong
here: the rules behind them (`relay.registry`), long-running programs (`relay.serving`, `relay.publishing`).
"""
