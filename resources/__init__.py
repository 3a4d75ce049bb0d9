"""What a run needs from outside: settings, landing zone, lake, engine, ledger.

Belongs here: connections, paths, transactions. Does not belong here: what a table means or how it is computed.
"""
