"""What the service says of itself: metrics and log lines. It decides nothing."""
