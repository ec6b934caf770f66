"""X-MDPT, the model: its constants, tables, picture preparation, network and parity check.

Knows nothing of serving; `xmdpt.nn` alone needs torch.
"""
