"""Source and pose vectors that some worker has made already, shared by all of them.

It is a cache: an entry may be gone at any time, and a cache that does not answer is an empty one. Calls block.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from service.ports.backend import F32

Lookup = F32 | Literal["yours", "theirs"]


class VectorCache(Protocol):
    """Vectors [D] float32 by key (`service.domain.digest.vector_key`); no method raises."""

    def look_up(self, keys: Sequence[str]) -> Sequence[Lookup]:
        """The vector of each key; `yours`: nobody has it, make it; `theirs`: somebody is making it, ask again soon.

        Who is told `yours` and neither puts nor abandons it in time is forgotten, and another one is told so.
        """
        ...

    def put(self, key: str, vector: F32) -> None:
        """Keep a vector [D] that this worker has made; the least recently used give way."""
        ...

    def abandon(self, key: str) -> None:
        """This worker won't make it after all: the next one who asks is told `yours`."""
        ...
