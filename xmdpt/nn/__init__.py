"""The networks in torch, their weights, the reference loop and the parity check.

Nothing that serves imports this package: the service runs the exported graphs.
"""
