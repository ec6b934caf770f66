"""Protocols between the core and technology; adapters implement them, nothing here does."""
