"""The pipeline behind BentoML: adaptive batching in one service with one worker process.

By https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html: a batchable API takes a list, of which each
caller sends a part, here one request. The latency that its dispatcher aims at is the longest it allows, so that it
refuses nobody. Batches must be larger than 1 there; without batches it is a plain API, one call at a time.
"""

from base64 import b64encode

import bentoml
from pydantic import BaseModel

from loadtests.peers.pipeline import decode_request, max_batch, warm_pipeline

_TIMEOUT_SECONDS = 600


class PosedRequest(BaseModel):
    """One request."""

    photo: str
    pose: dict
    steps: int
    seed: int


@bentoml.service(workers=1, threads=1, traffic={"timeout": _TIMEOUT_SECONDS})
class PosedPerson:
    """The service."""

    def __init__(self) -> None:
        self._pipeline = warm_pipeline()

    if max_batch() > 1:

        @bentoml.api(batchable=True, max_batch_size=max_batch(), max_latency_ms=1000 * _TIMEOUT_SECONDS)
        def generate(self, requests: list[PosedRequest]) -> list[str]:
            return self._files(requests)

    else:

        @bentoml.api
        def generate(self, requests: list[PosedRequest]) -> list[str]:
            return self._files(requests)

    def _files(self, requests: list[PosedRequest]) -> list[str]:
        """In base64: what a batchable API returns is a list, too."""
        return [
            b64encode(file).decode() for file in self._pipeline.run([decode_request(r.model_dump()) for r in requests])
        ]
