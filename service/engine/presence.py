"""What a worker hears from the queue and tells everybody, in a thread of its own: wake-ups, cancels, that it is alive.

It claims nothing and keeps no lease.
"""

import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from service.domain.capacity import WorkerReport
from service.domain.errors import StorageError
from service.engine.watched_thread import WatchedThread
from service.ports.queue import JobLeases, News, QueueFunctions
from service.ports.workers import WorkerAnnouncements
from service.telemetry.logs import get_logger

_LISTEN_SECONDS = 0.5
_OUTAGE_PAUSE_SECONDS = 0.25
# People watch what a worker does; next to its heartbeats it costs nothing.
_ANNOUNCE_EVERY_SECONDS = 1.0
# A worker that is silent for so long is not counted on any more; a busy computer may keep a thread waiting for seconds.
_ALIVE_SECONDS = 9.0


class Presence:
    """Listens from `start` to `stop`; an outage is waited out, the claims and heartbeats report it.

    Attributes:
        is_announced: the last try to announce the worker has come to its end.
    """

    def __init__(
        self,
        leases: JobLeases,
        announcements: WorkerAnnouncements,
        functions: QueueFunctions,
        report: Callable[[], WorkerReport],
        on_news: Callable[[AbstractSet[News]], None],
        on_death: Callable[[BaseException], None],
    ) -> None:
        """`report` and `on_news` are called from this thread, `on_death` if that ends by something unforeseen."""
        self._leases, self._announcements, self._functions = leases, announcements, functions
        self._report, self._on_news = report, on_news
        self.is_announced = self._is_trouble_told = False
        self._stop = threading.Event()
        self._thread = WatchedThread("presence", self._run, on_death)

    def start(self) -> None:
        """Announce the worker and begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Withdraw the announcement and end the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        announce_at = 0.0
        worker = self._report().worker
        while not self._stop.is_set():
            if time.monotonic() >= announce_at:
                self._announce()
                announce_at = time.monotonic() + _ANNOUNCE_EVERY_SECONDS
            try:
                news = self._leases.wait_for_news(_LISTEN_SECONDS)
            except StorageError:
                self._stop.wait(_OUTAGE_PAUSE_SECONDS)
            else:
                if news:
                    self._on_news(news)
        try:
            self._announcements.withdraw(worker)
        except StorageError:
            return  # It runs out by itself.

    def _announce(self) -> None:
        """Let nobody count on us without functions that we know; the trouble is told once, and news are heard of."""
        try:
            self._functions.ensure()
            self._announcements.announce(self._report(), _ALIVE_SECONDS)
        except StorageError as error:
            if not self._is_trouble_told:
                get_logger().warning("announcement_failed", code=error.code, detail=error.detail)
            self.is_announced, self._is_trouble_told = False, True
        else:
            self.is_announced, self._is_trouble_told = True, False
