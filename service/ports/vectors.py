"""Source and pose vectors that some worker has made already, shared by all of them.

It is a cache: an entry may be gone at any time, and a cache that does not answer is an empty one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.library import PictureKind
from service.ports.backend import F32

Lookup = F32 | Literal["yours", "theirs"]


@dataclass(frozen=True)
class VectorWish:
    """A picture of the library whose vector somebody waits for, though no job needs it yet.

    Attributes:
        kind: which encoder makes it.
        picture_id: where its pixels are.
        digest: `sha256:<hex>` of these.
    """

    kind: PictureKind
    picture_id: str
    digest: str


class VectorCache(Protocol):
    """Vectors [D] float32 by key (`service.domain.digest.vector_key`); blocking, no method raises."""

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

    def take_wish(self) -> VectorWish | None:
        """The oldest wish, which is nobody else's from then on."""
        ...


class KnownVectors(Protocol):
    """The gateway's side."""

    async def has(self, key: str) -> bool:
        """Whether the vector of this key is there now; no method raises."""
        ...

    async def wish(self, wish: VectorWish) -> None:
        """Have an idle worker make it; wishes may be lost, the oldest give way."""
        ...
