"""The vocabulary of the service: plain values and tables, no I/O, no clock, no arrays."""
