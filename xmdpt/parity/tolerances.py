"""How far from the golden numbers a value may lie, as max|a - b| / max|b|, and why."""

NETWORK = 1e-5
"""Float32 against float64 differs by 1e-6; the smallest mistake that a golden array can show by more than this."""

ROUNDING = 2e-7
"""Of numbers that the official code computes in float32 and we in float64: one rounding."""

TABLE = 1e-15
"""Of float64 tables whose products were taken in another order."""

LOG_TABLE = 1e-12
"""Of logarithms and ratios of such tables."""

GRADIENT = 1e-4
"""Of the norm of a parameter's gradient."""

RESIZE = 5e-5
"""Of bicubic pictures: torch computes the coordinates in float32, which is 1.5e-5."""

VAE = 5e-5
"""Of the autoencoder in float32: 1e-6, but 9e-6 where torch takes the channels-last order."""

VAE_FLOAT64 = 5e-6
"""Of the same in float64: a norm's eps of 1e-5 instead of 1e-6 changes 1e-5."""

EXACT = 0.0
