"""Groups of subcommands of `idm` that work on configuration alone.

Belongs here: arguments, messages, exit codes. Does not belong here: decisions, Dagster, the lake.
"""
