"""The registry of living workers, in the queue's server: a worker's announcements, and their reader.

It measures nothing, and judges no worker but by its silence.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect, connect_async
from service.domain.capacity import Activity, Capacity, StepCurve, WorkerReport
from service.domain.execution import Execution
from service.domain.stored_form import known_fields


def report_to_json(report: WorkerReport) -> str:
    """The report as it lies in the server."""
    return json.dumps(asdict(report), separators=(",", ":"), allow_nan=False)


def report_from_json(text: str) -> WorkerReport:
    """Undo `report_to_json`, also of other versions; ValueError if this one can't do without what is not there."""
    try:
        fields = json.loads(text)
        capacity = fields["capacity"]
        curve = capacity["curve"]
        points = tuple((int(rows), float(seconds)) for rows, seconds in curve["points"])
        chosen = {
            "curve": StepCurve(**known_fields(StepCurve, curve | {"points": points})),
            "execution": Execution(capacity["execution"]),
        }
        read = {
            "capacity": Capacity(**known_fields(Capacity, capacity | chosen)),
            "activity": Activity(**known_fields(Activity, fields.get("activity", {}))),
        }
        return WorkerReport(**known_fields(WorkerReport, fields | read))
    except (KeyError, TypeError) as error:
        raise ValueError("a stored report is not one of this version") from error


class RedisWorkerAnnouncements:
    """WorkerAnnouncements; for any thread."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call."""
        self._client = connect(url)
        self._prefix = keys.prefix

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def announce(self, report: WorkerReport, alive_seconds: float) -> None:
        """As the port says."""
        arguments = (report.worker, report_to_json(report), round(1000 * alive_seconds))
        with queue_errors():
            self._client.fcall("q1_worker_announce", 1, self._prefix, *arguments)

    def withdraw(self, worker: str) -> None:
        """As the port says."""
        with queue_errors():
            self._client.fcall("q1_worker_withdraw", 1, self._prefix, worker)


class RedisWorkerRegistry:
    """WorkerRegistry; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._prefix = keys.prefix

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reports(self) -> Sequence[WorkerReport]:
        """As the port says; a worker of another version whose report can't be read is left out."""
        with queue_errors():
            texts = await self._client.fcall("q1_workers", 1, self._prefix)
        reports: list[WorkerReport] = []
        for text in texts:
            try:
                reports.append(report_from_json(text))
            except ValueError:
                continue
        return reports
