"""API keys as the gateway looks them up, and as an operator changes them."""

from collections.abc import Sequence
from typing import Literal, Protocol

from service.domain.access import ApiKey

AddVerdict = Literal["ok", "full"]


class KeyRing(Protocol):
    """The gateway's side."""

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id; None if there is none. StorageError if the store does not answer."""
        ...


class KeyRegister(Protocol):
    """The operator's side; every method raises StorageError if the store does not answer."""

    def add(self, key: ApiKey) -> AddVerdict:
        """Keep a new key; `full` if its tenant has as many live ones as it may."""
        ...

    def revoke(self, key_id: str) -> bool:
        """Forget a key; False if there is none of this id."""
        ...

    def list_keys(self) -> Sequence[ApiKey]:
        """All of them, oldest first."""
        ...
