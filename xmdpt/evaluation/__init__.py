"""The paper's evaluation: pictures of every pair of a data set, scored beside the true photos.

Runs exported graphs or the torch reference; trains nothing. Its command is `python -m xmdpt.training evaluate`.
"""
