"""The worker: a shell around the pure scheduler. It claims, prepares, runs batches and commits results."""
