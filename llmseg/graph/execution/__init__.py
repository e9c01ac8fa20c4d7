"""Runs a validated prompt with the server's semantics.

live         the prompt while it grows
tasks        asynchronous calls
calls        one node call: list mapping, blockers, hidden inputs
events       what a run reports
account      the account that is kept of it
returns      the forms of a return value
schedule     which node runs next
expansion    graphs that nodes return
cache        signatures, and results by signature
results      results between nodes
running      one run
executor     what outlives a run
"""
