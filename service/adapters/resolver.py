"""Names of hosts by the system's resolver, in threads of its own: one that hangs keeps nobody else from the disk."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

_MAX_SECONDS = 5.0
# Whoever answers so has looked, and asking again changes nothing; all else is a trouble of now.
_NO_ADDRESS = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY, socket.EAI_FAIL)


class SystemResolver:
    """Resolver; belongs to one event loop, and has so many threads."""

    def __init__(self, num_threads: int = 16) -> None:
        self._free = asyncio.Semaphore(num_threads)

    async def addresses(self, host: str, port: int) -> Sequence[str] | None:
        """As the port says; within 5 s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_SECONDS):
                await self._free.acquire()
                return await self._in_a_thread(host, port)
        return None

    def _in_a_thread(self, host: str, port: int) -> asyncio.Future[Sequence[str] | None]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str] | None] = loop.create_future()

        def tell(addresses: Sequence[str] | None) -> None:
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


def _look_up(host: str, port: int) -> Sequence[str] | None:
    try:
        # Bytes, so that nothing translates the name once more.
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except UnicodeError:
        return ()
    except OSError as error:
        return () if error.errno in _NO_ADDRESS else None
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
