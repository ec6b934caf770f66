"""One bucket of an S3-compatible store, for the pictures and manifests that several machines share.

Which objects there are is the stores' business. Credentials are those of the environment, as of every S3 client:
`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a web identity, or the machine's own role.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from service.domain.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from obstore.store import S3Config

# A call of a picture takes milliseconds; one that hangs is repeated, and given up before who waits for it gives up.
_CONNECT_TIMEOUT = timedelta(seconds=3)
_CALL_TIMEOUT = timedelta(seconds=15)
_MAX_RETRIES = 2
_DELETED_AT_A_TIME = 1000


class ObjectStore:
    """Objects by their names; every method raises StorageError where the store does not answer, for any thread."""

    def __init__(self, url: str, endpoint: str = "", region: str = "us-east-1") -> None:
        """Connect to nothing yet.

        Args:
            url: `s3://BUCKET` or `s3://BUCKET/PREFIX`; the bucket is there.
            endpoint: where the store is, `https://...` or, inside of a network of one's own, `http://...`; empty: AWS.
            region: of the bucket.
        """
        parts = urlsplit(url)
        where: S3Config = {"region": region}
        if endpoint:
            where |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            config=where,
            client_options={
                "connect_timeout": _CONNECT_TIMEOUT,
                "timeout": _CALL_TIMEOUT,
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": _MAX_RETRIES, "retry_timeout": _CALL_TIMEOUT},
        )

    def put(self, name: str, content: bytes) -> None:
        """Store all of it or nothing; the store has it safe when this returns."""
        with _errors():
            obstore.put(self._store, name, content, use_multipart=False)

    def get(self, name: str) -> bytes:
        """The object; NotFoundError if it is not there."""
        with self._found(), _errors():
            return obstore.get(self._store, name).bytes().to_bytes()

    def get_part(self, name: str, start: int, num_bytes: int) -> bytes:
        """At most so many of its bytes, none beyond its end; NotFoundError if it is not there."""
        with self._found(), _errors():
            size = obstore.head(self._store, name)["size"]
            if start >= size:
                return b""
            return obstore.get_range(self._store, name, start=start, length=num_bytes).to_bytes()

    def age_seconds(self, name: str) -> float:
        """Since it was stored; NotFoundError if it is not there."""
        with self._found(), _errors():
            modified = obstore.head(self._store, name)["last_modified"]
        return (datetime.now(UTC) - modified).total_seconds()

    def delete(self, *names: str) -> None:
        """Forget objects; absent is fine."""
        with _errors():
            for start in range(0, len(names), _DELETED_AT_A_TIME):
                obstore.delete(self._store, list(names[start : start + _DELETED_AT_A_TIME]))

    def names(self, folder: str, older_than_seconds: float | None = None) -> list[str]:
        """Of the objects below `folder/`, those that are older than this if it is given."""
        newest = None if older_than_seconds is None else datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        with _errors():
            return [
                each["path"]
                for page in obstore.list(self._store, prefix=f"{folder}/")
                for each in page
                if newest is None or each["last_modified"] < newest
            ]

    def sweep(self, folder: str, older_than_seconds: float) -> int:
        """Delete what is older than this below `folder/`; returns how many objects."""
        old = self.names(folder, older_than_seconds)
        self.delete(*old)
        return len(old)

    def check_writable(self) -> None:
        """Write a byte, and delete it again."""
        probe = f"probe/{secrets.token_hex(8)}"
        self.put(probe, b"x")
        self.delete(probe)

    @contextmanager
    def _found(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            # Without its bucket the whole store is away, and its objects may come back.
            with _errors(gone_is_away=True):
                next(iter(obstore.list(self._store, prefix="probe/")), None)
            raise NotFoundError("the picture is gone") from None


@contextmanager
def _errors(*, gone_is_away: bool = False) -> Iterator[None]:
    """Turn what the client raises into StorageError `storage_unavailable`; its text may hold addresses, and stays here.

    That an object is not there passes, unless it is the store that is not.
    """
    try:
        yield
    except FileNotFoundError as error:
        if not gone_is_away:
            raise
        raise StorageError("storage_unavailable", "the picture store has no such bucket") from error
    except (BaseError, OSError) as error:
        detail = f"the picture store does not answer ({type(error).__name__})"
        raise StorageError("storage_unavailable", detail) from error
