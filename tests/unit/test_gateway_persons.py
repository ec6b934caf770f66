"""The person in a photo is looked for once; what was found, or not found, is told from then on."""

from dataclasses import dataclass, field

import pytest

from service.domain.errors import RequestError
from service.domain.person import Finding, Frame, PersonInPhoto, UnsuitablePhoto
from service.domain.pose import KeyPoints
from service.gateway.persons import Persons
from service.ports.pictures import PictureFormat
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.memory_findings import MemoryFindings

POINTS = KeyPoints(tuple((10.0 * i, 20.0 * i) for i in range(18)), (600.0, 800.0))
PERSON = PersonInPhoto(POINTS, Frame(-12.0, 3.0, 550.0, 800.0))
NOBODY = UnsuitablePhoto("no_person", "must show a person; nobody was found")


@dataclass
class ScriptedDetector:
    """Finds what it is told to, by the file."""

    findings: dict[bytes, Finding | RequestError]
    version: str = "1"
    num_at_a_time: int = 3
    asked: list[bytes] = field(default_factory=list)

    def find(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> Finding:
        assert (name, size) == ("JPEG", (600, 800))
        self.asked.append(content)
        found = self.findings[content]
        if isinstance(found, RequestError):
            raise found
        return found


def test_person_when_the_photo_comes_again_then_nothing_runs_and_a_hit_counts() -> None:
    metrics, detector = GatewayMetrics("test"), ScriptedDetector({b"a": PERSON, b"b": PERSON})
    persons = Persons(detector, MemoryFindings(), metrics)

    found = [persons.find(content, "JPEG", (600, 800)) for content in (b"a", b"a", b"b", b"a")]

    assert found == [PERSON] * 4
    assert detector.asked == [b"a", b"b"]
    requests = metrics.cache_requests
    assert [requests.labels("pose_photo", result)._value.get() for result in ("hit", "miss")] == [2, 2]
    assert metrics.registry.get_sample_value("xmdpt_stage_duration_seconds_count", {"stage": "pose_photo"}) == 2


def test_person_when_there_is_none_then_that_is_known_too() -> None:
    detector = ScriptedDetector({b"a": NOBODY})
    persons = Persons(detector, MemoryFindings(), GatewayMetrics("test"))

    for _ in range(2):
        with pytest.raises(RequestError, match="nobody was found") as error:
            persons.find(b"a", "JPEG", (600, 800))
        assert error.value.code == "no_person"

    assert detector.asked == [b"a"]


def test_person_when_the_detector_has_changed_then_looked_for_again() -> None:
    cache, before, after = MemoryFindings(), ScriptedDetector({b"a": NOBODY}), ScriptedDetector({b"a": PERSON}, "2")
    with pytest.raises(RequestError):
        Persons(before, cache, GatewayMetrics("test")).find(b"a", "JPEG", (600, 800))

    assert Persons(after, cache, GatewayMetrics("test")).find(b"a", "JPEG", (600, 800)) == PERSON


def test_person_when_the_file_is_damaged_then_nothing_is_kept() -> None:
    detector = ScriptedDetector({b"a": RequestError("image_invalid", "its decoder crashed")})
    cache = MemoryFindings()

    with pytest.raises(RequestError, match="crashed"):
        Persons(detector, cache, GatewayMetrics("test")).find(b"a", "JPEG", (600, 800))

    assert cache.kept == {}


def test_person_when_switched_off_then_refused() -> None:
    persons = Persons(None, MemoryFindings(), GatewayMetrics("test"))

    with pytest.raises(RequestError, match="switched off") as error:
        persons.find(b"a", "JPEG", (600, 800))

    assert error.value.code == "validation"
    assert persons.num_at_a_time == 1


def test_pose_when_the_frame_is_chosen_then_the_same_points_in_it() -> None:
    assert PERSON.pose("photo") == POINTS
    assert PERSON.pose("person") == KeyPoints(POINTS.points, (550.0, 800.0), (-12.0, 3.0))
