"""Names of hosts by the system's resolver, in threads of its own: one that hangs keeps nobody else from the disk."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

_MAX_SECONDS = 5.0


class SystemResolver:
    """Resolver; belongs to one event loop, and has so many threads."""

    def __init__(self, num_threads: int = 16) -> None:
        self._free = asyncio.Semaphore(num_threads)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """As the port says; within 5 s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_SECONDS):
                await self._free.acquire()
                return await self._in_a_thread(host, port)
        return ()

    def _in_a_thread(self, host: str, port: int) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def tell(addresses: Sequence[str]) -> None:
            # Only now is the thread another one's, however long ago somebody waited for it.
            self._free.release()
            if not answer.done():
                answer.set_result(addresses)

        def work() -> None:
            addresses = _look_up(host, port)
            with suppress(RuntimeError):  # The loop is closed.
                loop.call_soon_threadsafe(tell, addresses)

        # A daemon, as nothing can interrupt it, and the process need not wait for it at its end.
        threading.Thread(target=work, name="resolver", daemon=True).start()
        return answer


def _look_up(host: str, port: int) -> Sequence[str]:
    try:
        # Bytes, so that nothing translates the name once more.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
