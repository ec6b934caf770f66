"""The composition root: puts adapters behind ports, and alone turns settings into the plain values that parts take.

It decides nothing else. One module a process, and one for what both need.
"""
