"""What training needs, and the commands of those who work on the model away from serving.

Stands above `xmdpt.nn` and `xmdpt.evaluation`; nothing that serves imports it. Run it as `python -m xmdpt.training`.
"""
