"""One service for the whole suite, real processes and HTTP, and both kinds of client as one function."""

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.integration.processes import RunningService, running_service
from xmdpt_client import AsyncClient, Client

# A job of 250 steps takes 15 s: long enough to be watched and to be cancelled, by slow processes too.
SIMULATED = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "60",
    "XMDPT_SIMULATED__ROW_MS": "0",
    "XMDPT_WORKER__EXECUTION": "stepwise",
    "XMDPT_WORKER__MAX_SLOTS": "8",
}


class Call(Protocol):
    """Open a client of either kind, call one of its methods, close it."""

    __name__: str

    def __call__(self, url: str, method: str, *arguments: Any, **named: Any) -> Any: ...


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("client"), **SIMULATED) as running:
        yield running


@pytest.fixture(scope="session")
def url(service: RunningService) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Every test that uses it runs with both kinds of client."""

    def with_client(url: str, method: str, *arguments: Any, **named: Any) -> Any:
        with Client(url, max_retries=2) as client:
            return getattr(client, method)(*arguments, **named)

    def with_async_client(url: str, method: str, *arguments: Any, **named: Any) -> Any:
        async def converse() -> Any:
            async with AsyncClient(url, max_retries=2) as client:
                return await getattr(client, method)(*arguments, **named)

        return asyncio.run(converse())

    return with_client if request.param == "sync" else with_async_client
