"""The stages of a job, in their order; the names are those of the graphs and of the metrics."""

from enum import StrEnum


class Stage(StrEnum):
    """One kind of backend call; a job takes either DENOISE, num_steps times, or SAMPLE, the whole loop at once."""

    ENCODE_SOURCE = "source_encoder"
    ENCODE_POSE = "pose_encoder"
    CONDITION = "canet"
    DENOISE = "tdnet_step"
    SAMPLE = "sampler"
    DECODE = "vae_decoder"
