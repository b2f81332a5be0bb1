"""The demonstration: the whole system on this machine, as real, separate processes.

Belongs here: planning a run, starting and stopping the programs, the leader's script, gathering what
happened. Does not belong here: anything that a production run would need. The programs are started by their
commands and spoken to over their wires, as an operator would.
"""
