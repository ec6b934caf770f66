"""API keys on both servers: kept without their secrets, bounded by tenant, gone when revoked."""

from collections.abc import Iterator

import pytest
import redis
import structlog

from service.adapters.queue_functions import load_functions
from service.adapters.redis_api_keys import RedisKeyRegister, RedisKeyRing
from service.adapters.redis_keys import RedisKeys
from service.domain.access import ApiKey, CallerLimits, Scope, secret_digest
from service.domain.errors import StorageError
from tests.fakes.redis_process import RedisProcess

SECRET = "s" * 43
KEYS = RedisKeys("{keys}:")


@pytest.fixture
def register(server: RedisProcess, client: redis.Redis) -> Iterator[RedisKeyRegister]:
    client.flushall()
    load_functions(client)
    register = RedisKeyRegister(server.url, KEYS)
    yield register
    register.close()


def a_key(number: int, tenant: str = "ada", expires_at: float | None = None) -> ApiKey:
    return ApiKey(
        f"{number:08d}",
        secret_digest(SECRET),
        tenant,
        frozenset({Scope.GENERATE, Scope.READ}),
        CallerLimits(7, 3, 2),
        float(number),
        expires_at,
    )


async def find(server: RedisProcess, key_id: str) -> ApiKey | None:
    ring = RedisKeyRing(server.url, KEYS)
    try:
        return await ring.find(key_id)
    finally:
        await ring.aclose()


async def test_key_when_added_then_it_is_found_as_it_was_and_its_secret_is_nowhere(
    server: RedisProcess, client: redis.Redis, register: RedisKeyRegister
) -> None:
    assert register.add(a_key(1)) == "ok"

    found = await find(server, a_key(1).id)

    assert found == a_key(1)
    assert found.admits(SECRET, 0.0)
    assert not found.admits("t" * 43, 0.0)
    assert SECRET not in str(client.hgetall(KEYS.api_keys))
    assert await find(server, "absent00") is None


def test_register_when_a_tenant_has_two_live_keys_then_a_third_is_refused(register: RedisKeyRegister) -> None:
    verdicts = [register.add(a_key(number)) for number in (1, 2, 3)]
    assert verdicts == ["ok", "ok", "full"]
    assert register.add(a_key(4, "bob")) == "ok"
    assert [key.id for key in register.list_keys()] == [a_key(number).id for number in (1, 2, 4)]

    assert register.revoke(a_key(1).id)

    assert register.add(a_key(3)) == "ok"


def test_register_when_a_key_has_expired_then_it_counts_no_more(register: RedisKeyRegister) -> None:
    for key in (a_key(1, expires_at=1.0), a_key(2), a_key(3, expires_at=4e9)):
        assert register.add(key) == "ok"
    assert register.add(a_key(4)) == "full"


async def test_key_when_revoked_then_it_is_gone_and_a_second_time_says_so(
    server: RedisProcess, register: RedisKeyRegister
) -> None:
    register.add(a_key(1))

    assert [register.revoke(a_key(1).id) for _ in range(2)] == [True, False]
    assert await find(server, a_key(1).id) is None
    assert register.list_keys() == []


def test_keys_when_one_is_of_a_newer_version_then_the_others_are_listed_and_it_is_named(
    client: redis.Redis, register: RedisKeyRegister
) -> None:
    for number in (1, 2):
        register.add(a_key(number, f"tenant-{number}"))
    client.hset(KEYS.api_keys, "newer000", '{"scopes": ["newest"]}')

    with structlog.testing.capture_logs() as lines:
        assert register.list_keys() == [a_key(1, "tenant-1"), a_key(2, "tenant-2")]

    assert [(line["event"], line["key"]) for line in lines] == [("key_unreadable", "newer000")]


@pytest.mark.parametrize("record", ["", "nonsense", "{}", '{"scopes": ["god"]}', "[]"])
async def test_key_when_its_record_is_not_ours_then_nobody_is_let_in_and_it_is_said(
    server: RedisProcess, client: redis.Redis, register: RedisKeyRegister, record: str
) -> None:
    client.hset(KEYS.api_keys, "broken00", record)

    if record:
        with pytest.raises(StorageError, match="not one of this version"):
            await find(server, "broken00")
    else:
        assert await find(server, "broken00") is None


def test_link_secret_when_asked_for_by_several_gateways_then_it_is_made_once(
    server: RedisProcess, client: redis.Redis, register: RedisKeyRegister
) -> None:
    secrets = [register.link_secret(), register.link_secret()]
    other = RedisKeyRegister(server.url, KEYS)
    elsewhere = RedisKeyRegister(server.url, RedisKeys("{other}:"))
    try:
        secrets.append(other.link_secret())
        assert elsewhere.link_secret() not in secrets, "each queue has its own"
    finally:
        other.close()
        elsewhere.close()

    assert len(set(secrets)) == 1
    assert len(secrets[0]) == 32
    assert client.ttl(KEYS.link_secret) == -1, "it never goes"


def test_link_secret_when_what_is_stored_is_none_then_the_queue_is_to_blame(
    client: redis.Redis, register: RedisKeyRegister
) -> None:
    client.set(KEYS.link_secret, "not hex")

    with pytest.raises(StorageError):
        register.link_secret()
