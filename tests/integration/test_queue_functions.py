"""The queue's functions as operators and processes see them: loaded, rolled back, refused, flushed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.queue_functions import functions_source, version_of
from service.adapters.redis_server import connect
from service.domain.errors import EXIT_CONFIGURATION
from tests.integration.lone_gateway import gateway_of
from tests.integration.processes import serve, wait_until

VERSION = version_of(functions_source())


@pytest.fixture
def client(valkey_server: EmbeddedValkey) -> Iterator[redis.Redis]:
    """Of a server without functions; those of this version are there afterwards."""
    with connect(valkey_server.url) as client:
        client.function_flush()
        yield client
        client.function_load(functions_source(), replace=True)


def test_command_when_called_then_it_loads_what_is_older_and_rolls_back_on_demand(
    valkey_server: EmbeddedValkey, client: redis.Redis
) -> None:
    def said(*words: str) -> str:
        return serve("functions", *words, REDIS_URL=valkey_server.url).stdout.strip()

    ours = f"the queue's functions are of version {VERSION}, this version's"
    assert said() == ours
    newer = functions_source().replace(f"local VERSION = {VERSION}", f"local VERSION = {VERSION + 1}")
    client.function_load(newer, replace=True)
    assert said() == (
        f"the queue's functions are of version {VERSION + 1}, newer than this version's {VERSION}, which they serve too"
    )
    assert said("--replace") == ours


@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_process_when_its_user_may_not_load_functions_that_are_missing_then_it_says_who_must(
    valkey_server: EmbeddedValkey, client: redis.Redis, role: str, tmp_path: Path
) -> None:
    client.acl_setuser("guest", enabled=True, passwords="+word", keys="*", commands=["+@all", "-function"], reset=True)
    url = valkey_server.url.replace("unix://", "unix://guest:word@")
    settings = {"XMDPT_BACKEND": "simulated", "XMDPT_DATA_DIR": str(tmp_path), "XMDPT_WORKER__OPS_PORT": "0"}

    ended = serve(role, REDIS_URL=url, **settings)

    client.acl_deluser("guest")
    assert ended.returncode == EXIT_CONFIGURATION
    assert "run `xmdpt-serve functions` of this version with a REDIS_URL whose user may" in ended.stderr


def test_gateway_when_the_functions_are_flushed_then_it_puts_them_back_unasked(
    valkey_server: EmbeddedValkey, client: redis.Redis, tmp_path: Path
) -> None:
    with gateway_of(valkey_server.url, tmp_path, XMDPT_QUEUE__LEASE_SECONDS="2"):
        client.function_flush()

        wait_until(lambda: client.function_list("xmdpt_q1"), 20, "the functions are back")
