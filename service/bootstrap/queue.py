"""The queue as the settings name it: its server checked, its functions loaded, its bounds as plain values."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.queue_functions import functions_source, load_functions, version_of
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import check_server, connect
from service.domain.errors import ConfigurationError
from service.settings import Settings
from service.telemetry.logs import get_logger


@contextmanager
def embedded_queue(settings: Settings) -> Iterator[EmbeddedValkey | None]:
    """A Valkey of our own until the block ends; None if the settings name a server."""
    if settings.redis_url:
        yield None
        return
    valkey = EmbeddedValkey(settings.data_dir / "queue")
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()


@contextmanager
def reachable_queue(settings: Settings) -> Iterator[str]:
    """The queue's address, its functions loaded; without REDIS_URL that of `xmdpt-serve all`, running or not.

    Raises:
        StorageError: the queue does not answer.
    """
    running = EmbeddedValkey(settings.data_dir / "queue")
    if settings.redis_url or running.is_reachable:
        yield _loaded(settings.redis_url or running.url)
        return
    with embedded_queue(settings) as queue:
        assert queue, "no other server is named"
        yield _loaded(queue.url)


class _Register(Protocol):
    def close(self) -> None: ...


_AnyRegister = TypeVar("_AnyRegister", bound=_Register)


@contextmanager
def open_register(settings: Settings, make: Callable[[str, RedisKeys], _AnyRegister]) -> Iterator[_AnyRegister]:
    """What an operator's command works with, in the queue of `reachable_queue`; raises as that."""
    with reachable_queue(settings) as url, closing(make(url, RedisKeys(settings.queue.prefix))) as register:
        yield register


def _loaded(url: str) -> str:
    with connect(url) as client:
        load_functions(client)
    return url


def functions_line(settings: Settings, *, replaces_newer: bool) -> str:
    """Load the functions into the queue of `reachable_queue`; what is there now. Raises as `load_functions`."""
    own = version_of(functions_source())
    with reachable_queue(settings) as url, connect(url) as client:
        found = load_functions(client, replaces_newer=replaces_newer)
    what = "this version's" if found == own else f"newer than this version's {own}, which they serve too"
    return f"the queue's functions are of version {found}, {what}"


def prepare_queue(settings: Settings) -> None:
    """Refuse an unsafe server, and see that it has the functions that this version needs.

    Raises:
        ConfigurationError: no queue is named, it could lose jobs, or its functions are too old and may not be loaded.
        StorageError: the queue does not answer.
    """
    if not settings.redis_url:
        msg = "REDIS_URL is not set: name a Redis or Valkey, or run `xmdpt-serve all`, which brings its own"
        raise ConfigurationError(msg)
    client = connect(settings.redis_url)
    try:
        warning = check_server(client, allow_unsafe=settings.queue.allow_unsafe_server)
        if warning:
            get_logger().warning(warning)
        get_logger().info("functions", version=load_functions(client))
    finally:
        client.close()


def queue_policy(settings: Settings) -> QueuePolicy:
    """The bounds and times that every process of a queue must agree on."""
    queue = settings.queue
    return QueuePolicy(
        lease_seconds=queue.lease_seconds,
        max_deliveries=queue.max_deliveries,
        max_failures=queue.max_failures,
        stall_timeout_seconds=queue.stall_timeout_seconds,
        max_live=queue.max_live,
        max_live_per_tenant=queue.max_live_per_tenant,
    )
