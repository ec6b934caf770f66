"""A service and all of its processes: started, looked at, killed, and gone at the end. Linux: it reads /proc."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class _Process:
    parent: int
    session: int
    cpu_seconds: float


class ServiceProcess:
    """What a command has started, as long as it is started again when it ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        """Start it.

        Args:
            command: a program and its arguments.
            environment: all of its variables.
            folder: where it runs.
            log: what it writes goes there, behind what is there.
        """
        self._command, self._environment, self._folder, self._log = list(command), dict(environment), folder, log
        self._sessions: set[int] = set()
        self.num_restarts = 0
        self._start()

    def keep_running(self) -> None:
        """Start the command again if it has ended, as what supervises it in production would."""
        if self._process.poll() is not None:
            self.num_restarts += 1
            self._start()

    @property
    def has_ended(self) -> bool:
        """The command has; others that it has started may not."""
        return self._process.poll() is not None

    def cpu_seconds(self) -> Mapping[int, float]:
        """CPU time of each process so far, in ticks of 10 ms, by its number."""
        return {number: process.cpu_seconds for number, process in self._tree().items()}

    def busiest(self, seconds: float) -> int:
        """The process that uses most CPU time within a while: where the model is, when it has work."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        used = {number: total - before.get(number, 0.0) for number, total in self.cpu_seconds().items()}
        return max(used, key=lambda number: used[number])

    def running(self, program: str) -> int:
        """The process of a program, by the end of its path; ProcessLookupError if there is none."""
        for number in self._tree():
            if _program(number).endswith(program):
                return number
        raise ProcessLookupError(f"no process runs {program}")

    def pause(self) -> None:
        """All of its processes stand still, and use no core, until `resume`."""
        told: set[int] = set()
        # Until none is left that another one had started before it was told.
        while new := self._tree().keys() - told:
            _signal(new, signal.SIGSTOP)
            told |= new

    def resume(self) -> None:
        """They go on."""
        _signal(self._tree(), signal.SIGCONT)

    def stop(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Ask it to end, again after a while, and then kill what is left; all of its processes are gone then.

        Twice, as some wait for connections that nobody closes, and end at once when they are told again.
        """
        # What stands still would not hear of it.
        self.resume()
        left = set(self._tree())
        for _ in range(2):
            if not self.has_ended:
                self._process.send_signal(signal.SIGTERM)
            give_up_at = time.monotonic() + patience_seconds
            while (left := (left | set(self._tree())) & _alive()) and time.monotonic() < give_up_at:
                self._process.poll()
                time.sleep(_LOOK_SECONDS)
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self._process.wait()
        while left & _alive():
            time.sleep(_LOOK_SECONDS)

    def _start(self) -> None:
        with self._log.open("ab") as file:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._sessions.add(self._process.pid)

    def _tree(self) -> dict[int, _Process]:
        """Everything that descends from the command, or is of a session that one of these has begun."""
        processes = _processes()
        found: dict[int, _Process] = {}
        while True:
            more = {
                number: process
                for number, process in processes.items()
                if number not in found
                and (number == self._process.pid or process.parent in found or process.session in self._sessions)
            }
            if not more:
                return found
            found |= more
            self._sessions |= {process.session for process in more.values()}


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _program(number: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return ""


def _processes() -> dict[int, _Process]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name before it may hold anything.
            fields = path.read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                cpu_seconds = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
                found[int(path.parent.name)] = _Process(int(fields[1]), int(fields[3]), cpu_seconds)
    return found


def _alive() -> set[int]:
    return set(_processes())
