"""Vectors that somebody waits for though no job needs them yet: what an idle worker may make meanwhile.

A wish may be lost at any time; the job that needs the vector makes it then.
"""

from dataclasses import dataclass

import numpy as np

from service.domain.digest import content_digest, vector_key
from service.domain.errors import ServiceError
from service.domain.stage import Stage
from service.ports.backend import F32, U8
from service.ports.blobs import BlobStore
from service.ports.vectors import VectorCache
from xmdpt.spec import IMAGE_SIZE

_STAGES = {"source": Stage.ENCODE_SOURCE, "pose": Stage.ENCODE_POSE}


@dataclass(frozen=True)
class Wish:
    """One that this worker alone has taken.

    Attributes:
        stage: the encoder.
        key: of the vector.
        picture: [256,256,3] uint8 RGB.
    """

    stage: Stage
    key: str
    picture: U8


class Wishes:
    """The wishes of one worker; its methods may be called from any thread."""

    def __init__(self, cache: VectorCache, blobs: BlobStore, model_digest: str) -> None:
        """The cache may be shared with other workers."""
        self._cache, self._blobs, self._model_digest = cache, blobs, model_digest

    def take(self) -> Wish | None:
        """The oldest one that can be granted and that nobody has made or makes."""
        while wished := self._cache.take_wish():
            key = vector_key(wished.kind, wished.digest, self._model_digest)
            (answer,) = self._cache.look_up([key])
            if not isinstance(answer, str) or answer != "yours":
                continue
            content = self._content(wished.picture_id)
            # What is made of other pixels would be taken for this picture's ever after.
            if content_digest(content) == wished.digest:
                picture = np.frombuffer(content, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)
                return Wish(_STAGES[wished.kind], key, picture)
            self._cache.abandon(key)
        return None

    def grant(self, wish: Wish, vector: F32) -> None:
        """Its encoder has run: keep [D] for all who need it."""
        self._cache.put(wish.key, vector)

    def give_up(self, wish: Wish) -> None:
        """It won't be made here."""
        self._cache.abandon(wish.key)

    def _content(self, picture_id: str) -> bytes:
        """Its pixels; nothing if it has been deleted meanwhile, or the store is away."""
        try:
            return self._blobs.get_picture(picture_id)
        except ServiceError:
            return b""
