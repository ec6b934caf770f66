"""Each picture is encoded once: vectors come from the shared cache; of flights that need the same one, one makes it.

It runs no encoder: it says for each flight what is at hand, what the flight has to make, or that it has to wait.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from service.domain.digest import vector_key
from service.domain.stage import Stage
from service.engine.flight import Flight
from service.ports.backend import F32
from service.ports.vectors import VectorCache

# 4 kB each at most: what this worker has made or met lately costs not even a call.
_MAX_LOCAL = 256


@dataclass
class Supply:
    """What a flight gets.

    Attributes:
        at_hand: vectors [D] by the encoder that need not run.
        is_waiting: another flight, here or in another worker, makes one of its vectors: ask again later.
    """

    at_hand: dict[Stage, F32] = field(default_factory=dict)
    is_waiting: bool = False


class Vectors:
    """The vectors of one worker; its methods may be called from any thread."""

    def __init__(self, cache: VectorCache, model_digest: str) -> None:
        """The cache may be shared with other workers."""
        self._cache, self._model_digest = cache, model_digest
        self._lock = threading.Lock()
        self._local: OrderedDict[str, F32] = OrderedDict()
        self._makers: dict[str, Flight] = {}

    def supply(self, flight: Flight) -> Supply:
        """Look up both vectors; what is neither at hand nor waited for, the flight makes, and no other one does.

        A flight that waits makes nothing meanwhile, so no two can wait for one another.
        """
        keys = self._keys(flight)
        with self._lock:
            found = {stage: self._local.get(key) for stage, key in keys.items()}
            for key in self._local.keys() & keys.values():
                self._local.move_to_end(key)
            is_waiting = any(key in self._makers for stage, key in keys.items() if found[stage] is None)
        missing = [stage for stage, vector in found.items() if vector is None]
        if is_waiting or not missing:
            return self._supply(found, is_waiting)
        looked_up = dict(zip(missing, self._cache.look_up([keys[stage] for stage in missing]), strict=True))
        mine = [keys[stage] for stage, answer in looked_up.items() if isinstance(answer, str) and answer == "yours"]
        is_waiting = any(isinstance(answer, str) and answer == "theirs" for answer in looked_up.values())
        for stage, answer in looked_up.items():
            if not isinstance(answer, str):
                found[stage] = answer
                self._remember(keys[stage], answer)
        if is_waiting:
            for key in mine:
                self._cache.abandon(key)
        else:
            with self._lock:
                self._makers.update(dict.fromkeys(mine, flight))
        return self._supply(found, is_waiting)

    def made(self, flight: Flight, stage: Stage, vector: F32) -> None:
        """The flight's encoder has run: keep [D] for all who need it."""
        key = self._keys(flight)[stage]
        self._remember(key, vector)
        with self._lock:
            self._makers.pop(key, None)
        self._cache.put(key, vector)

    def give_up(self, flight: Flight) -> None:
        """The flight leaves: what it has not made, another one will."""
        with self._lock:
            abandoned = [key for key, maker in self._makers.items() if maker is flight]
            for key in abandoned:
                del self._makers[key]
        for key in abandoned:
            self._cache.abandon(key)

    def _keys(self, flight: Flight) -> dict[Stage, str]:
        request = flight.job.request
        return {
            Stage.ENCODE_SOURCE: vector_key("source", request.source_digest, self._model_digest),
            Stage.ENCODE_POSE: vector_key("pose", request.pose_digest, self._model_digest),
        }

    def _remember(self, key: str, vector: F32) -> None:
        with self._lock:
            self._local[key] = vector
            self._local.move_to_end(key)
            if len(self._local) > _MAX_LOCAL:
                self._local.popitem(last=False)

    @staticmethod
    def _supply(found: dict[Stage, F32 | None], is_waiting: bool) -> Supply:
        return Supply({} if is_waiting else {s: v for s, v in found.items() if v is not None}, is_waiting)
