"""How exactly poses are found: the estimator against rendered persons, and against photos that were annotated.

Serving needs none of it. Its command is `python -m xmdpt.pose_estimation evaluate`.
"""
