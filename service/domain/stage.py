"""The stages of a job, in their order; the names are those of the graphs and of the metrics."""

from enum import StrEnum


class Stage(StrEnum):
    """One kind of backend call.

    A job takes DENOISE num_steps times, or SAMPLE, the whole loop at once; one in low precision DENOISE_LOW num_steps
    times, and DECODE_LOW in place of DECODE where there is a graph for that.
    """

    ENCODE_SOURCE = "source_encoder"
    ENCODE_POSE = "pose_encoder"
    CONDITION = "canet"
    DENOISE = "tdnet_step"
    DENOISE_LOW = "tdnet_step_low"
    SAMPLE = "sampler"
    DECODE = "vae_decoder"
    DECODE_LOW = "vae_decoder_low"

    @property
    def is_low(self) -> bool:
        """In low precision: a call may have any number of rows, each of which may be computed by itself."""
        return self in (Stage.DENOISE_LOW, Stage.DECODE_LOW)
