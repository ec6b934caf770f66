"""`xmdpt-serve all`: one machine's worth of processes, started, restarted and stopped together.

It holds no state of the service and speaks to nobody but its children.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.parent_death import dying_with_parent
from service.bootstrap.queue import embedded_queue
from service.domain.errors import EXIT_CONFIGURATION
from service.settings import Settings
from service.telemetry.logs import configure_logs, get_logger

_POLL_SECONDS = 0.1
# A child that dies at once must not be restarted in a hot loop.
_RESTART_PAUSE_SECONDS = 1.0
_STOP_MARGIN_SECONDS = 10.0


class _Child:
    """One process that is kept running."""

    def __init__(self, role: str, environment: dict[str, str]) -> None:
        self.role = role
        self._environment = environment
        self.start()

    def start(self) -> None:
        # -P: what lies in the current folder is not taken for this package.
        # A group of its own, so that Ctrl-C reaches only the supervisor, which then stops its children in order.
        self.process = subprocess.Popen(
            dying_with_parent([sys.executable, "-P", "-m", "service", self.role]),
            env=self._environment,
            start_new_session=True,
        )
        get_logger().info("started", child=self.role, pid=self.process.pid)

    def stop(self, seconds: float) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        get_logger().info("stopped", child=self.role, status=self.process.returncode)


def run_all(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Without REDIS_URL an embedded Valkey holds the queue in `data_dir`. It is started from the main thread, because the
    signal that ends it with its parent follows the thread that started it.
    """
    configure_logs("all", settings.log_level, settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with embedded_queue(settings) as queue:
        environment = os.environ | {"REDIS_URL": queue.url if queue else settings.redis_url}
        # Whoever follows a worker that has died takes its jobs over.
        name = {"XMDPT_WORKER__NAME": settings.worker.name or f"all-{uuid.uuid4().hex}"}
        worker, gateway = _Child("worker", environment | name), _Child("gateway", environment)
        status = _watch([worker, gateway], queue, stop)
        # The worker first: its last jobs are told to the queue, and clients that wait still get their pictures.
        worker.stop(settings.worker.drain_seconds + _STOP_MARGIN_SECONDS)
        gateway.stop(settings.gateway.drain_seconds + _STOP_MARGIN_SECONDS)
    return status


def _watch(children: list[_Child], queue: EmbeddedValkey | None, stop: threading.Event) -> int:
    """Restart what dies until told to stop; give up at once if a child says that its configuration is wrong."""
    while not stop.wait(_POLL_SECONDS):
        if queue and not queue.is_running:
            get_logger().error("died", child="queue")
            queue.revive()
            get_logger().info("started", child="queue", pid=queue.pid)
        for child in children:
            status = child.process.poll()
            if status is None:
                continue
            if status == EXIT_CONFIGURATION:
                return status
            get_logger().error("died", child=child.role, status=status)
            time.sleep(_RESTART_PAUSE_SECONDS)
            child.start()
    return 0
