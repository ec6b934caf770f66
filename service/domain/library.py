"""Sources and poses that a client has uploaded once, to use them often. No pixels here, only their digest."""

import re
from dataclasses import dataclass
from typing import Literal

from service.domain.pose import KeyPoints

PictureKind = Literal["source", "pose"]
PICTURE_ID = re.compile(r"(?:src|pos)_[0-9a-f]{32}")
PREFIXES: dict[PictureKind, str] = {"source": "src_", "pose": "pos_"}
"""How the id of a picture of this kind begins."""
KEPT_SECONDS = 7 * 86_400
"""How long a picture is kept after its last use."""


@dataclass(frozen=True)
class NewPicture:
    """A picture whose pixels are on disk and whose record is not yet there.

    Attributes:
        id: `src_` or `pos_` and 32 lower-case hex digits.
        kind: what it can be used for.
        tenant: whose it is.
        digest: `sha256:<hex>` of its 256 x 256 x 3 bytes.
        width_px: of the picture as it was sent, upright; likewise height_px.
        key_points: those that a pose was drawn from; None for a source, and for a pose that came as a drawing.
    """

    id: str
    kind: PictureKind
    tenant: str
    digest: str
    width_px: int
    height_px: int
    key_points: KeyPoints | None = None


@dataclass(frozen=True, kw_only=True)
class StoredPicture(NewPicture):
    """A picture that can be used.

    Attributes:
        created_at: POSIX seconds.
        expires_at: likewise; each use puts it off.
    """

    created_at: float
    expires_at: float
