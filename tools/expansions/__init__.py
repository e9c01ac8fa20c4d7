"""The shipped expansion libraries: the lists, written by hand, and the command that checks and packs them.

Run from a checkout with ``python -m tools.expansions.build``; not part of the wheel.
"""
