"""The stages of a job, in their order; the names are those of the graphs and of the metrics."""

from enum import StrEnum


class Stage(StrEnum):
    """One kind of backend call; DENOISE is repeated num_steps times."""

    ENCODE_SOURCE = "source_encoder"
    ENCODE_POSE = "pose_encoder"
    CONDITION = "canet"
    DENOISE = "tdnet_step"
    DECODE = "vae_decoder"
