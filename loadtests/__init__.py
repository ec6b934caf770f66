"""Load on a running service, from outside: HTTP only, nothing of ours is imported."""
