"""How good the demo checkpoint is: its pictures of held-out rendered persons beside the exact truth.

Measures what `python -m xmdpt.training quality` reports and, by the same functions, what training looks at meanwhile.
Does not judge a variant as the paper does, on a data set of photos (`xmdpt.evaluation`).
"""
