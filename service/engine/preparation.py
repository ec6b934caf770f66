"""A claimed job becomes arrays: pixels, initial noise, coefficient rows.

It reads the blob store and nothing else; the gateway has decoded and checked the pictures.
"""

import functools

import numpy as np

from service.domain.digest import content_digest
from service.domain.errors import NotFoundError, ServiceError
from service.domain.inputs import unpack_inputs
from service.domain.job import ClaimedJob
from service.engine.working_set import PreparedJob
from service.ports.blobs import BlobStore
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import IMAGE_SIZE, Prediction

# Of different numbers of steps, guidance and samplers that are asked for at one time.
_MAX_PLANS = 256
_cached_plan = functools.lru_cache(_MAX_PLANS)(sampling_plan)


def prepare(job: ClaimedJob, blobs: BlobStore, prediction: Prediction) -> PreparedJob:
    """Load and derive everything that the job's batches will need.

    Args:
        job: just claimed.
        blobs: where the gateway put its pictures.
        prediction: what the network predicts; decides the coefficient rows.

    Raises:
        StorageError: the store does not answer.
        ServiceError: `input_lost`: the pictures are gone, or are not those that were accepted.
    """
    try:
        photo, skeleton = unpack_inputs(blobs.get_input(job.id))
    except (NotFoundError, ValueError) as error:
        raise ServiceError("input_lost", "the stored pictures are gone or damaged") from error
    request = job.request
    if (content_digest(photo), content_digest(skeleton)) != (request.source_digest, request.pose_digest):
        raise ServiceError("input_lost", "the stored pictures differ from those that were accepted")
    params = request.params
    return PreparedJob(
        photo=_pixels(photo),
        skeleton=_pixels(skeleton),
        noise=initial_noise(params.seed),
        plan=_cached_plan(params.num_steps, params.guidance, params.sampler.value, prediction),
    )


def _pixels(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)
