"""The person in a photo that a client sends: looked for once a day, however often the photo comes.

It decodes nothing and finds nothing itself; which files are looked at at all is decided before.
"""

import hashlib
import time

from service.domain.errors import RequestError
from service.domain.person import PersonInPhoto, UnsuitablePhoto
from service.ports.persons import FindingCache, PersonDetector
from service.ports.pictures import PictureFormat
from service.telemetry.metrics import GatewayMetrics


class Persons:
    """Finds persons; blocking, for any thread."""

    def __init__(self, detector: PersonDetector | None, cache: FindingCache, metrics: GatewayMetrics) -> None:
        """A deployment without `detector` takes no pose from a photo."""
        self._detector, self._cache, self._metrics = detector, cache, metrics
        # One at least, as so many threads of the caller may wait here.
        self.num_at_a_time = detector.num_at_a_time if detector else 1

    def find(self, content: bytes, name: PictureFormat, size: tuple[int, int]) -> PersonInPhoto:
        """The person in a file; arguments and errors as those of `PersonDetector.find`.

        Raises:
            RequestError: also `no_person`, `several_persons`, `person_too_small` or `person_out_of_frame`; `validation`
                if this deployment finds nobody.
        """
        detector = self._detector
        if detector is None:
            raise RequestError("validation", "is switched off: this deployment looks for no persons in photos")
        key = hashlib.sha256(hashlib.sha256(content).digest() + detector.version.encode()).hexdigest()
        found = self._cache.get(key)
        self._metrics.cache_requests.labels("pose_photo", "hit" if found else "miss").inc()
        if found is None:
            started = time.perf_counter()
            found = detector.find(content, name, size)
            self._metrics.stage_seconds.labels("pose_photo").observe(time.perf_counter() - started)
            self._cache.put(key, found)
        if isinstance(found, UnsuitablePhoto):
            raise RequestError(found.code, found.detail)
        return found
