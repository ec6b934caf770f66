"""How fast the graphs are, as ratios of sides that take turns in one process, so that they hold on any computer.

Nothing imports this package; it needs the extras `cpu`, `export` and `train`.
"""
