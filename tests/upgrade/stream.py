"""Clients that go on calling while versions change, as behind a load balancer that knows which gateways there are."""

import itertools
import threading
import time
from dataclasses import dataclass, field

import httpx

# Few, so that each is asked for by gateways of both versions.
NUM_SEEDS = 12
_PAUSE_SECONDS = 0.08
_NUM_CLIENTS = 2
_PATIENCE_SECONDS = 60.0


@dataclass
class Stream:
    """Submits jobs until it is stopped; each has a key, and a call without an answer is repeated with that.

    Attributes:
        source: id of an uploaded photo.
        accepted: seed of each accepted job, by its id.
        wrong: answers that must not be.
        num_repeated: calls that had no answer.
    """

    source: str
    accepted: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    num_repeated: int = 0

    def __post_init__(self) -> None:
        self._open: list[str] = []
        self._numbers = itertools.count()
        self._is_stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_NUM_CLIENTS)]

    def begin(self, *gateways: str) -> None:
        """Begin with these."""
        self._open = list(gateways)
        for thread in self._threads:
            thread.start()

    def balance(self, *gateways: str) -> None:
        """From now on new calls go to these."""
        self._open = list(gateways)

    def wait_for(self, more: int) -> None:
        """Wait until so many more jobs have been accepted."""
        enough, give_up_at = len(self.accepted) + more, time.monotonic() + _PATIENCE_SECONDS
        while len(self.accepted) < enough:
            assert time.monotonic() < give_up_at, f"no more jobs are accepted: {self.wrong}"
            time.sleep(0.01)

    def stop(self) -> None:
        """Return once every call has been answered."""
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not self._is_stopping.is_set():
                self._submit(client, next(self._numbers))
                time.sleep(_PAUSE_SECONDS)

    def _submit(self, client: httpx.Client, number: int) -> None:
        seed = number % NUM_SEEDS
        call = {"source": {"id": self.source}, "pose": {"preset": "walking"}, "seed": seed, "steps": 4}
        # Every third one waits for its picture.
        headers = {"Idempotency-Key": f"call-{number}", "Prefer": "wait=10" if number % 3 == 0 else "respond-async"}
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        for turn in itertools.count(number):
            gateways = self._open
            try:
                answer = client.post(f"{gateways[turn % len(gateways)]}/v1/generate", json=call, headers=headers)
                break
            except httpx.TransportError as error:
                self.num_repeated += 1
                if time.monotonic() > give_up_at:
                    self.wrong.append(f"call {number}: {error!r}")
                    return
                time.sleep(_PAUSE_SECONDS)
        if answer.status_code == httpx.codes.OK:
            self.accepted[answer.headers["x-xmdpt-job-id"]] = seed
        elif answer.status_code == httpx.codes.ACCEPTED:
            self.accepted[answer.json()["id"]] = seed
        else:
            self.wrong.append(f"call {number}: {answer.status_code} {answer.text}")
