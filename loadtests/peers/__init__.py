"""The same pipeline behind other serving frameworks, each in an environment of its own, and callers for all of them."""
