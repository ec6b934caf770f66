"""Servers that tests of several suites use."""

from collections.abc import Iterator

import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.redis_server import connect, load_functions


@pytest.fixture(scope="session")
def running_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """One Valkey for the whole run."""
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_server(running_valkey: EmbeddedValkey) -> EmbeddedValkey:
    """That Valkey, empty but for the queue's functions; its `url` is all that a test needs."""
    with connect(running_valkey.url) as client:
        client.flushall()
        load_functions(client)
    return running_valkey
