"""The gateway's use cases, one noun a file; they know ports and domain values, not HTTP."""
