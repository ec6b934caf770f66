"""What a worker hears and says while the queue's functions are not its own: cancels and wake-ups go on reaching it."""

import threading

import pytest
import structlog

from service.domain.errors import StorageError
from service.engine.presence import Presence
from tests.fakes.fake_leases import FakeLeases
from tests.fakes.running_worker import a_report


class CountingLeases(FakeLeases):
    """Counts how often the functions are looked at."""

    num_looks = 0

    def ensure(self) -> None:
        self.num_looks += 1
        super().ensure()


@pytest.mark.parametrize("announce_every_seconds", [0.0, 60.0])
def test_presence_when_it_can_not_be_announced_then_news_are_heard_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, announce_every_seconds: float
) -> None:
    monkeypatch.setattr("service.engine.presence._ANNOUNCE_EVERY_SECONDS", announce_every_seconds)
    deaths: list[BaseException] = []
    leases, heard = CountingLeases(), threading.Semaphore(0)
    leases.functions_trouble = StorageError("queue_unavailable", "they are too old")

    def hear(_: object) -> None:
        heard.release()

    presence = Presence(leases, leases, leases, a_report, hear, deaths.append)
    with structlog.testing.capture_logs() as lines:
        presence.start()
        for _ in range(20):
            assert heard.acquire(timeout=20)
        presence.stop()

    assert deaths == []
    assert (leases.num_looks > 1) == (announce_every_seconds == 0.0), "at its usual pace"
    assert [line["event"] for line in lines] == ["announcement_failed"]
    assert not presence.is_announced
