"""The queue's texts and records <-> domain values.

It calls nothing; which fields exist is written in `lua/records.lua`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, get_args

from service.domain.errors import NewerVersionError, StorageError
from service.domain.job import ClaimedJob, IdempotencyKey, Job, JobFailure, JobId, JobStatus, Priority, Progress
from service.domain.pose import key_points_from_fields
from service.domain.request import (
    GenerationRequest,
    ImageFormat,
    OutputOptions,
    Sampler,
    SamplingParams,
)
from service.domain.result import JobResult, PictureFile
from service.domain.stored_form import known_fields, stored_form
from service.domain.trace_context import TraceContext, parse_traceparent
from service.domain.webhook import Webhook, parse_receiver
from service.ports.queue import JobEnd, QueueFigures, QueueStats
from xmdpt.presets import Preset

# As `SHOWN` in `lua/records.lua`.
_SHOWN = frozenset(
    {
        *("state", "cancel", "deliveries", "started_ms", "ended_ms", "expires_ms", "retry_ms", "stage", "step"),
        *("result", "error_code", "error_detail"),
    }
)


def to_ms(seconds: float) -> int:
    """A time as the queue has it."""
    return round(1000 * seconds)


def key_digest(idempotency: IdempotencyKey | None) -> str:
    """A client's key as the queue names it: of a bounded length, whatever the edge lets through; empty if none."""
    return hashlib.sha256(idempotency.key.encode()).hexdigest() if idempotency else ""


def webhook_from_json(text: str) -> Webhook | None:
    """Undo `webhook_to_json`; StorageError if the text is not one of its."""
    if not text:
        return None
    with _reading("webhook"):
        fields = json.loads(text)
        return Webhook(fields["url"], tuple(fields["events"]))


def request_to_json(request: GenerationRequest) -> str:
    """The request as it lies in a job's record."""
    return _to_json(stored_form(request))


def request_from_json(text: str) -> GenerationRequest:
    """Undo `request_to_json`, to show it: what a newer version has put there is left out.

    Raises:
        StorageError: the text is not a request of any version.
    """
    with _reading("request"):
        return _request(json.loads(text), known_fields)


def request_to_do_from_json(text: str) -> GenerationRequest:
    """Undo `request_to_json`, to do it: nothing is left out.

    Raises:
        NewerVersionError: there is something in it that this version does not know.
        StorageError: the text is not a request of any version.
    """
    with _reading("request"):
        fields = json.loads(text)
        try:
            return _request(fields, lambda _, all_fields: all_fields)
        except (TypeError, ValueError) as error:
            raise NewerVersionError("a stored request is of a newer version") from error


def _request(fields: dict[str, Any], take: Callable[[type, dict[str, Any]], Mapping[str, Any]]) -> GenerationRequest:
    params, output, found = fields["params"], fields["output"], fields.get("found_pose")
    made = {
        "params": SamplingParams(**take(SamplingParams, params | _names(params))),
        "output": OutputOptions(**take(OutputOptions, output | {"format": ImageFormat(output["format"])})),
        "found_pose": key_points_from_fields(found) if found else None,
    }
    return GenerationRequest(**take(GenerationRequest, fields | made))


def _names(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters that are names; a request without a preset asks for the exact one."""
    return {"sampler": Sampler(params["sampler"]), "preset": Preset(params.get("preset", Preset.EXACT))}


def webhook_to_json(webhook: Webhook | None) -> str:
    """Whom to tell, as it lies in a job's record; empty for nobody."""
    if webhook is None:
        return ""
    # Which addresses may be called was decided before; here it is only the receiver's name.
    host = parse_receiver(webhook.url, is_development=True).authority
    return _to_json({"url": webhook.url, "host": host, "events": list(webhook.events)})


def trace_to_text(trace: TraceContext | None) -> str:
    """The trace as it lies in a record; empty for none, as for `parse_traceparent`."""
    return trace.traceparent if trace else ""


def result_to_json(result: JobResult) -> str:
    """The result as it lies in a job's record."""
    return _to_json(asdict(result))


def result_from_json(text: str) -> JobResult:
    """Undo `result_to_json`; StorageError if the text is not one of its."""
    with _reading("result"):
        fields = json.loads(text)
        if "files" not in fields:
            # Of a version whose jobs made one picture each.
            fields["files"] = [{"sha256": fields.pop("sha256"), "num_bytes": fields.pop("num_bytes")}]
        files = tuple(PictureFile(**known_fields(PictureFile, file)) for file in fields["files"])
        return JobResult(**known_fields(JobResult, fields | {"files": files}))


@dataclass(frozen=True)
class Claimed:
    """What a claim has given.

    Attributes:
        jobs: in their order.
        newer: fences of the jobs that only a newer version can do.
        unreadable: fences of those that no version can read.
        is_cut_short: the claim has passed over as many jobs as it may.
    """

    jobs: Sequence[ClaimedJob]
    newer: Mapping[JobId, int]
    unreadable: Mapping[JobId, int]
    is_cut_short: bool = False

    @property
    def may_be_more(self) -> bool:
        """Something that this worker can do may be behind what it can't."""
        return bool(self.newer or self.unreadable) or self.is_cut_short


def claimed_from_json(text: str) -> Claimed:
    """The answer of `q1_claim`; it gives nothing while the worker is being emptied."""
    jobs: list[ClaimedJob] = []
    newer: dict[JobId, int] = {}
    unreadable: dict[JobId, int] = {}
    with _reading("claim"):
        answer = json.loads(text)
        # An empty Lua table has become an empty object.
        for fields in answer["jobs"] or ():
            try:
                jobs.append(_claimed_job(fields))
            except NewerVersionError:
                newer[fields["id"]] = int(fields["fence"])
            except StorageError:
                unreadable[fields["id"]] = int(fields["fence"])
        return Claimed(tuple(jobs), newer, unreadable, answer.get("more", False))


def _claimed_job(fields: Mapping[str, Any]) -> ClaimedJob:
    with _reading("job"):
        return ClaimedJob(
            id=fields["id"],
            fence=int(fields["fence"]),
            request=request_to_do_from_json(fields["request"]),
            is_suspect=fields["is_suspect"],
            queue_seconds=max(0.0, fields["waited_ms"] / 1000),
            priority=Priority(fields["class"]),
            seconds_left=max(0.0, fields["left_ms"] / 1000),
            attempt=fields.get("attempt", 1),
            trace=parse_traceparent(fields.get("trace", "")),
        )


def stats_from_json(text: str) -> QueueStats:
    """The answer of `q1_stats`."""
    with _reading("figure"):
        figures = json.loads(text)
        return QueueStats(
            queued=figures["queued"],
            running=figures["running"],
            oldest_wait_seconds=max(0.0, figures["oldest_wait_ms"] / 1000),
            queued_cost={Priority(name): cost for name, cost in figures["queued_cost"].items()},
            running_cost=figures["running_cost"],
            num_suspects=figures["num_suspects"],
            num_dead=figures["num_dead"],
            # An empty Lua table has become an empty object.
            forecast_ratios=tuple(float(ratio) for ratio in figures["forecast_ratios"]),
        )


def figures_from_json(text: str) -> QueueFigures:
    """The answer of `q1_figures`."""
    with _reading("figure"):
        figures = json.loads(text)
        # An empty Lua table has become an empty object, or an empty list.
        ends = dict(figures["ends"] or {})
        return QueueFigures(
            queued={Priority(name): number for name, number in figures["queued"].items()},
            oldest_wait_seconds={
                Priority(name): max(0.0, wait_ms / 1000) for name, wait_ms in figures["oldest_wait_ms"].items()
            },
            running=figures["running"],
            num_dead=figures["num_dead"],
            ends={end: ends.get(end, 0) for end in get_args(JobEnd)},
            num_batches=figures["num_batches"],
            batch_items_left=figures["batch_items_left"],
            batch_pause_seconds=max(0.0, figures["batch_pause_ms"] / 1000),
        )


def job_from_record(job_id: JobId, record: Mapping[str, str], position: int = 0, work_ahead: int = 0) -> Job:
    """A record as a client sees it.

    Args:
        job_id: the job.
        record: fields of its hash.
        position: jobs ahead of it, if it is queued.
        work_ahead: row-steps ahead of it, if it is queued.

    Raises:
        StorageError: the record is not one of ours.
    """
    with _reading("record"):
        status = _status(record)
        is_queued = status is JobStatus.QUEUED
        return Job(
            id=job_id,
            status=status,
            request=request_from_json(record["request"]),
            attempt=int(record["deliveries"]),
            created_at=int(record["created_ms"]) / 1000,
            started_at=None if is_queued else _seconds(record, "started_ms"),
            ended_at=_seconds(record, "ended_ms"),
            expires_at=_seconds(record, "expires_ms"),
            progress=Progress() if is_queued else Progress(record.get("stage", ""), int(record.get("step", 0))),
            position=position if is_queued else 0,
            result=result_from_json(record["result"]) if "result" in record else None,
            failure=JobFailure(record["error_code"], record["error_detail"]) if "error_code" in record else None,
            is_expired="expired" in record,
            priority=Priority(record["class"]),
            deadline_at=int(record["deadline_ms"]) / 1000,
            retry_at=_seconds(record, "retry_ms") if record["state"] == "delayed" else None,
            work_ahead=work_ahead if is_queued else 0,
            tenant=record["tenant"],
            batch_id=record.get("batch"),
            custom_id=record.get("custom_id"),
        )


def job_then(job_id: JobId, record: Mapping[str, str], then: Mapping[str, str], position: int, work_ahead: int) -> Job:
    """A job as a client saw it after one of its changes; raises as `job_from_record`.

    Args:
        job_id: the job.
        record: as it is now; what never changes is taken from it.
        then: everything that changes, as it was after the change.
        position: jobs ahead of it, if it is queued.
        work_ahead: row-steps ahead of it, if it is queued.
    """
    constant = {field: value for field, value in record.items() if field not in _SHOWN}
    return job_from_record(job_id, {**constant, **then}, position, work_ahead)


def mapping(fields: Sequence[str]) -> Mapping[str, str]:
    """Fields and values in turn, as a function of the queue answers them."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _status(record: Mapping[str, str]) -> JobStatus:
    state = record["state"]
    # The pause before a retry is the queue's own business.
    if state == "delayed":
        return JobStatus.QUEUED
    # Past its deadline a job runs until its worker learns of that, and then it has failed.
    if state == "running" and record.get("cancel") == "client":
        return JobStatus.CANCELLING
    return JobStatus(state)


def _seconds(record: Mapping[str, str], field: str) -> float | None:
    return int(record[field]) / 1000 if field in record else None


def _to_json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise StorageError("queue_unavailable", f"a stored {what} is not one of this version") from error
