"""The product's worker with three things that no product has, for `tests.chaos` alone.

Photos that kill it (`tests.chaos.pictures`); a diary of what it told the queue and what that answered; and two signals,
SIGUSR1 and SIGUSR2: at its next commit, with the picture stored and the finish not yet told, it stops or kills itself.
Everything else is `xmdpt-serve worker`.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.__main__ import main as serve
from service.adapters.file_blobs import FileBlobs
from service.adapters.redis_leases import RedisJobLeases
from service.adapters.simulated_backend import SimulatedBackend
from tests.chaos.pictures import poison_of

DIARY = "CHAOS_DIARY"
"""Environment variable: the diary's path."""
COMMIT = "commit"
"""Verb of the line that is written before a worker obeys one of the signals."""
STACKS_SIGNAL = signal.SIGHUP
"""Makes a worker write the stacks of its threads to its log."""
Writer = Callable[[str, str, int, str], None]
CRASH_STATUS = 139
"""Of a worker that a photo has ended: as if by a segmentation fault."""


def main() -> None:
    """Run the worker."""
    faulthandler.register(STACKS_SIGNAL)
    write = _open_diary(Path(os.environ[DIARY]))
    _poison_photos()
    _keep_diary(write)
    _obey_signals_at_commit(write)
    sys.argv = ["xmdpt-serve", "worker"]
    serve()


def _poison_photos() -> None:
    encode = SimulatedBackend.encode_source

    def encode_source(self: SimulatedBackend, photo: Any) -> Any:
        poisons = {poison_of(row) for row in photo}
        if "crash" in poisons:
            os._exit(CRASH_STATUS)
        if "hang" in poisons:
            threading.Event().wait()
        return encode(self, photo)

    SimulatedBackend.encode_source = encode_source


def _open_diary(path: Path) -> Writer:
    """A line is one write, so that none is ever half there, whoever is killed."""
    diary = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(verb: str, job_id: str, fence: int, verdict: str) -> None:
        line = {"at": time.time(), "pid": os.getpid(), "verb": verb, "job": job_id, "fence": fence, "verdict": verdict}
        os.write(diary, json.dumps(line).encode() + b"\n")

    return write


def _keep_diary(write: Writer) -> None:
    """One line for each job claimed and for each end told."""
    claim = RedisJobLeases.claim

    def claim_and_note(self: RedisJobLeases, *arguments: Any, **named: Any) -> Any:
        jobs = claim(self, *arguments, **named)
        for job in jobs:
            write("claim", job.id, job.fence, "ok")
        return jobs

    def noted(verb: str, fence_of: Callable[[Any], int]) -> Callable[..., Any]:
        tell = getattr(RedisJobLeases, verb)

        def tell_and_note(self: RedisJobLeases, job_id: str, subject: Any, *rest: Any, **named: Any) -> Any:
            verdict = tell(self, job_id, subject, *rest, **named)
            write(verb, job_id, fence_of(subject), verdict)
            return verdict

        return tell_and_note

    RedisJobLeases.claim = claim_and_note
    RedisJobLeases.succeed = noted("succeed", lambda result: result.fence)
    for verb in ("fail", "end_cancelled", "release"):
        setattr(RedisJobLeases, verb, noted(verb, int))


def _obey_signals_at_commit(write: Writer) -> None:
    asked: list[signal.Signals] = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(signal.SIGSTOP))
    signal.signal(signal.SIGUSR2, lambda *_: asked.append(signal.SIGKILL))
    put = FileBlobs.put_output

    def put_output(self: FileBlobs, job_id: str, fence: int, content: bytes, index: int = 0) -> None:
        put(self, job_id, fence, content, index)
        if asked:
            write(COMMIT, job_id, fence, "ok")
            # To this very thread: told to the process, the signal may reach it when the finish is already out.
            signal.pthread_kill(threading.get_ident(), asked.pop())

    FileBlobs.put_output = put_output


if __name__ == "__main__":
    main()
