"""How a job's denoising steps become backend calls: one a step, or one for all."""

from enum import StrEnum

# What a server of graphs is asked about itself needs no graph: silent for longer than this, it counts as away.
PROBE_SECONDS = 2.0


class Execution(StrEnum):
    """STEPWISE shares each step with whoever is there; WHOLE_LOOP pays for one call a job, and nobody joins within."""

    STEPWISE = "stepwise"
    WHOLE_LOOP = "whole_loop"
