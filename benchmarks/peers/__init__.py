"""Our service beside other serving frameworks: the same graphs, callers and cores (`make bench-peers`).

How the peers are served, and how all are called, is in `loadtests.peers`.
"""
