"""One real process that is kept running: started, signalled, and started again when it has ended.

Which processes there are is `tests.chaos.cluster`'s.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from service.adapters.parent_death import dying_with_parent
from service.domain.errors import EXIT_CONFIGURATION, EXIT_TRY_LATER
from tests.chaos.history import Exit
from tests.chaos.poisoned_worker import CRASH_STATUS

ROOT = Path(__file__).resolve().parents[2]
_EARLY_SECONDS = 10.0
_MAX_EARLY_ENDS = 5


class BrokenRunError(RuntimeError):
    """The run itself went wrong: it says nothing about the service."""


class Part:
    """A process under one name.

    Attributes:
        name: such as `worker 2`.
        pid: of the process that was started last, 0 before.
        is_held: while True it is not started again.
        is_stopping: SIGTERM has been sent to the process that now runs.
        exits: how its processes have ended so far.
    """

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        """Nothing runs before `start`, which belongs to the main thread: the process dies with it."""
        self.name = name
        self._command, self._environment, self._log = list(command), environment, log
        self._process: subprocess.Popen[bytes] | None = None
        self.is_held = self.is_stopping = False
        self.exits: list[Exit] = []
        self.pid = 0
        self._started = 0.0
        self._early_ends = 0

    @property
    def log(self) -> Path:
        """What all of its processes have written."""
        return self._log

    def start(self) -> None:
        """Start the process."""
        self.is_stopping, self._started = False, time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_parent(self._command),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def look_after(self) -> None:
        """Note that it has ended, if it has, and start it again unless it is held.

        Raises:
            BrokenRunError: it can't be started.
        """
        if self._process and self._process.poll() is not None:
            self.exits.append(Exit(self.name, self.pid, self._process.returncode, time.time(), self.is_stopping))
            self._process = None
            self._check_end(self.exits[-1].status, time.monotonic() - self._started)
        if self._process is None and not self.is_held:
            self.start()

    def _check_end(self, status: int, lived_seconds: float) -> None:
        """Give up on what fails at each start: the run would only heat the computer."""
        # A photo may end the same worker in each of its deliveries.
        is_its_own = status > 0 and status not in (EXIT_TRY_LATER, CRASH_STATUS)
        is_early = is_its_own and lived_seconds < _EARLY_SECONDS
        self._early_ends = self._early_ends + 1 if is_early else 0
        if status == EXIT_CONFIGURATION or self._early_ends == _MAX_EARLY_ENDS:
            raise BrokenRunError(f"{self.name} can't be started, status {status}: {self.last_words()}")

    @property
    def is_running(self) -> bool:
        """True unless it has ended, or was not started."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_paused(self) -> bool:
        """True between SIGSTOP and SIGCONT."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] == "T"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; it may have ended meanwhile."""
        if number is signal.SIGTERM:
            self.is_stopping = True
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Kill it for good."""
        self.is_held = True
        if self._process:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_bytes()[-2000:].decode(errors="replace").strip()


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the service; one thread for whatever computes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    return kept | {"OMP_NUM_THREADS": "1"}
