"""Ways of sharing a device, compared in virtual time: what a policy does to latency and capacity, without a device.

Nothing is measured here: the time of a step is a given curve, and the other stages take no time unless told otherwise.
"""
