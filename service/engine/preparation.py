"""A claimed job becomes arrays: pixels, initial noise, coefficient rows.

It reads the blob store and nothing else; the gateway has decoded and checked the pictures.
"""

import functools
from collections.abc import Mapping, Set

import numpy as np

from service.domain.digest import content_digest
from service.domain.errors import NotFoundError, ServiceError
from service.domain.inputs import unpack_inputs
from service.domain.job import ClaimedJob
from service.domain.stage import Stage
from service.engine.working_set import PreparedJob
from service.ports.backend import U8
from service.ports.blobs import BlobStore
from xmdpt.presets import PRESETS
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE, Prediction

# Of different numbers of steps, guidance and samplers that are asked for at one time.
_MAX_PLANS = 256
_cached_plan = functools.lru_cache(_MAX_PLANS)(sampling_plan)


def prepare(
    job: ClaimedJob, blobs: BlobStore, prediction: Prediction, encoders: Set[Stage], *, has_low_precision: bool = False
) -> PreparedJob:
    """Load and derive everything that the job's batches will need.

    Args:
        job: just claimed.
        blobs: where the gateway put its pictures.
        prediction: what the network predicts; decides the coefficient rows.
        encoders: those that have to run; without any, no picture is read.
        has_low_precision: the model has a graph for steps in low precision.

    Raises:
        StorageError: the store does not answer.
        ServiceError: `input_lost`: the pictures are gone, or are not those that were accepted; `unavailable_preset`:
            it was accepted for a model that has a graph which this one lacks.
    """
    params = job.request.params
    meaning = PRESETS[params.preset]
    if meaning.needs_low_precision and not has_low_precision:
        raise ServiceError("unavailable_preset", f"the model of this worker does not offer {params.preset}")
    return PreparedJob(
        pictures=_pictures(job, blobs, encoders) if encoders else {},
        noise=np.stack([initial_noise(params.seed + index) for index in range(job.request.num_images)]),
        plan=_cached_plan(params.num_steps, params.guidance, params.sampler.value, prediction),
        is_low=meaning.wants_low_precision and has_low_precision,
    )


def _pictures(job: ClaimedJob, blobs: BlobStore, encoders: Set[Stage]) -> Mapping[Stage, U8]:
    try:
        photo, skeleton = unpack_inputs(blobs.get_input(job.id))
    except (NotFoundError, ValueError) as error:
        raise ServiceError("input_lost", "the stored pictures are gone or damaged") from error
    given = {
        Stage.ENCODE_SOURCE: (photo, job.request.source_digest),
        Stage.ENCODE_POSE: (skeleton, job.request.pose_digest),
    }
    needed = {stage: given[stage] for stage in encoders}
    if any(content_digest(content) != digest for content, digest in needed.values()):
        raise ServiceError("input_lost", "the stored pictures differ from those that were accepted")
    return {stage: _pixels(content) for stage, (content, _) in needed.items()}


def _pixels(content: bytes) -> U8:
    return np.frombuffer(content, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)
