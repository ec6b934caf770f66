"""The person in a photo, found where a file that breaks its decoder breaks nothing else; and what was found before."""

from typing import Protocol

from service.domain.person import Finding
from service.ports.pictures import PictureFormat


class PersonDetector(Protocol):
    """Blocking calls, for any thread.

    Attributes:
        num_at_a_time: so many photos are looked at beside each other; further calls wait.
    """

    num_at_a_time: int

    @property
    def version(self) -> str:
        """64 hex digits; a detector with others may find something else in the same photo."""
        ...

    def find(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> Finding:
        """Look for the one person in a file.

        Args:
            content: the file.
            name: what its first bytes say that it is.
            size: width and height in px that its header claims, checked against the limits.

        Raises:
            RequestError: `image_invalid`: it is damaged, not of that size, or its process crashed or took too long.
            OverloadedError: `overloaded`: no photo can be looked at at present.
        """
        ...


class FindingCache(Protocol):
    """What was found in photos, for about a day; blocking, no method raises.

    It is a cache: an entry may be gone at any time, and a cache that does not answer is an empty one.
    """

    def get(self, key: str) -> Finding | None:
        """What was kept under this key, None if nothing was or it can't be read."""
        ...

    def put(self, key: str, finding: Finding) -> None:
        """Keep it for a day from now on."""
        ...
