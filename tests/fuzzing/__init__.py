"""Fuzzing: mutations of real files go through everything that stands between a landed file and its rows.

`mutations` breaks bytes, `formats` has declarations and seeds of every format, `attempt` takes an input through survey
and decoder and judges what came of it. ``python -m tests.fuzzing`` runs for as long as it is told to.
"""
