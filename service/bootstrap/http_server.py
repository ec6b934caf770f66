"""The HTTP server of a gateway: where it listens, its limits, and how it stops. What it serves is handed in."""

import asyncio
import socket
import time
from collections.abc import Sequence
from functools import partial

import uvicorn
from fastapi import FastAPI

from service.api.http_protocol import ConnectionLimits, GuardedProtocol
from service.domain.errors import ConfigurationError
from service.gateway.batches import Batches
from service.gateway.events import JobEvents
from service.gateway.readiness import Readiness
from service.ports.queue import JobIntake
from service.settings import GatewaySettings

# An idle connection is closed after this long; a client that reuses it later simply connects again.
_KEEP_ALIVE_SECONDS = 75
# Connections that wait to be accepted.
_BACKLOG = 2048
# At the end of a stop: longer than the queue may take to say where a job stands that somebody has waited for.
GOODBYE_SECONDS = 3
_LOOK_EVERY_SECONDS = 0.1


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; ConfigurationError if it can't."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        variables = "XMDPT_GATEWAY__HOST and XMDPT_GATEWAY__PORT"
        raise ConfigurationError(f"can't listen on {host} port {port}: {error.strerror}; change {variables}") from None


def draining_server(
    app: FastAPI,
    edge: GatewaySettings,
    followed: Sequence[JobEvents | Batches],
    intake: JobIntake,
    readiness: Readiness,
) -> "DrainingServer":
    """A server of the application, with the limits of the settings; arguments as of `DrainingServer`."""
    limits = ConnectionLimits(max_connections=edge.max_connections, hosts=edge.host_names)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        http=partial(GuardedProtocol, limits=limits),  # pyright: ignore[reportArgumentType]
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    return DrainingServer(config, followed, intake, readiness, edge.drain_seconds)


class DrainingServer(uvicorn.Server):
    """A server that still answers while it stops: that it takes no new job, and what it has begun."""

    def __init__(
        self,
        config: uvicorn.Config,
        followed: Sequence[JobEvents | Batches],
        intake: JobIntake,
        readiness: Readiness,
        drain_seconds: float,
    ) -> None:
        super().__init__(config)
        self._followed, self._intake, self._readiness = followed, intake, readiness
        self._drain_seconds = drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers in flight come to their end, and only then stop listening.

        What is followed ends at once: it would last as long as its jobs. Calls that wait have until the end of the
        drain for their picture; then they learn where their job is.
        """
        self._readiness.drain()
        for followed in self._followed:
            followed.close()
        deadline = time.monotonic() + self._drain_seconds
        while self.server_state.tasks and not self.force_exit and time.monotonic() < deadline:
            await asyncio.wait(list(self.server_state.tasks), timeout=_LOOK_EVERY_SECONDS)
        self._intake.end_waits()
        await super().shutdown(sockets)
