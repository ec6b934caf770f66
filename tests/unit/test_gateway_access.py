"""Who a caller is: good keys, bad ones, and those that try many."""

import pytest

from service.domain.access import ANYBODY, Scope, key_text
from service.domain.errors import AccessError, OverloadedError, StorageError
from service.gateway.access import Access
from tests.fakes.memory_keys import MemoryKeys

ADA, BOB = "adaadaad", "bobbobbo"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def access(keys: MemoryKeys, clock: Clock) -> Access:
    return Access(keys, clock)


async def refusal(access: Access, authorization: str, address: str = "192.0.2.1") -> str:
    with pytest.raises((AccessError, OverloadedError)) as error:
        await access.caller(authorization, address)
    return error.value.code


async def test_caller_when_no_keys_are_needed_then_it_is_anybody() -> None:
    assert await Access(None).caller("Bearer nonsense", "") == ANYBODY


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_caller_when_the_key_is_good_then_tenant_scopes_and_limits_are_its(
    access: Access, keys: MemoryKeys, scheme: str
) -> None:
    text = keys.add(ADA, "ada", frozenset({Scope.READ}))

    caller = await access.caller(f"{scheme} {text}", "192.0.2.1")

    assert (caller.tenant, caller.scopes, caller.key_id) == ("ada", {Scope.READ}, ADA)
    assert caller.limits == keys.keys[ADA].limits


@pytest.mark.parametrize(
    "authorization",
    [
        "", "Bearer", "Bearer ", "Basic YTpi", "Bearer xmdpt", f"Bearer xmdpt_{ADA}", f"Bearer {'x' * 10_000}",
        f"Bearer {key_text(ADA, 't' * 43)}", f"Bearer {key_text(ADA, 's' * 42)}", f"Bearer {key_text(ADA, 's' * 44)}",
        f"Bearer {key_text(BOB, 's' * 43)}", f"Bearer {key_text(ADA, 's' * 43)} more",
        f"Bearer {key_text(ADA.upper(), 's' * 43)}", key_text(ADA, "s" * 43),
    ],
)  # fmt: skip
async def test_caller_when_the_key_is_bad_then_unauthenticated(
    access: Access, keys: MemoryKeys, authorization: str
) -> None:
    keys.add(ADA)

    assert await refusal(access, authorization) == "unauthenticated"


async def test_caller_when_the_key_has_expired_then_unauthenticated(
    access: Access, keys: MemoryKeys, clock: Clock
) -> None:
    text = keys.add(ADA, expires_at=clock.now + 1)
    assert await access.caller(f"Bearer {text}", "")

    clock.now += 1

    assert await refusal(access, f"Bearer {text}") == "unauthenticated"


async def test_caller_when_its_key_is_revoked_then_it_is_out_within_five_seconds(
    access: Access, keys: MemoryKeys, clock: Clock
) -> None:
    text = keys.add(ADA)
    for _ in range(100):
        await access.caller(f"Bearer {text}", "")
    assert keys.num_looks == 1, "each call asks the store"
    keys.keys.clear()

    clock.now += 4.9

    assert await refusal(access, f"Bearer {text}") == "unauthenticated"


async def test_caller_when_the_store_is_away_then_a_known_key_works_for_a_while_and_an_unknown_one_is_no_refusal(
    access: Access, keys: MemoryKeys, clock: Clock
) -> None:
    text = keys.add(ADA)
    await access.caller(f"Bearer {text}", "")
    keys.is_down = True

    assert (await access.caller(f"Bearer {text}", "")).tenant == "ada"
    with pytest.raises(StorageError):
        await access.caller(f"Bearer {key_text(BOB, 's' * 43)}", "")
    clock.now += 4.9
    with pytest.raises(StorageError):
        await access.caller(f"Bearer {text}", "")


async def test_caller_when_an_address_tries_many_keys_then_it_must_wait_and_good_ones_need_not(
    access: Access, keys: MemoryKeys, clock: Clock
) -> None:
    text = keys.add(ADA)
    for _ in range(10):
        assert await refusal(access, "Bearer bad") == "unauthenticated"
        clock.now += 1

    with pytest.raises(OverloadedError, match="rate_limited") as error:
        await access.caller("Bearer bad", "192.0.2.1")

    assert error.value.retry_after_seconds == pytest.approx(50)
    assert await access.caller(f"Bearer {text}", "192.0.2.1"), "a good key is stopped"
    assert await refusal(access, "Bearer bad", "192.0.2.2") == "unauthenticated", "another address is stopped"
    clock.now += 50
    assert await refusal(access, "Bearer bad") == "unauthenticated", "the time is over"


async def test_memory_when_addresses_and_keys_are_many_then_it_stays_small(access: Access, keys: MemoryKeys) -> None:
    for number in range(12_000):
        await refusal(access, f"Bearer {key_text(f'{number:08d}', 's' * 43)}", f"address {number}")

    assert len(access._found) == len(access._failures) == 10_000
