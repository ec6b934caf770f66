"""A rolling upgrade and a roll back under a stream of jobs, and everything that must hold of it."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis
from PIL import Image

from service.adapters.queue_audit import RedisQueueAuditor
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_server import connect
from tests.chaos.pictures import photo_file
from tests.integration.processes import wait_until
from tests.upgrade.deployment import Deployment, Process
from tests.upgrade.receiver import running_receiver
from tests.upgrade.stream import NUM_SEEDS, Stream

_ENDED = {"succeeded", "failed", "cancelled"}
_NUM_ITEMS = 12
_SETTLE_SECONDS = 60
# In each phase so many jobs are accepted.
_PHASE = 8
_KEYS = RedisKeys()


@dataclass
class Findings:
    """What became of it.

    Attributes:
        violations: what must not be, in words; empty if all is well.
        figures: how much of what was done, by its name.
    """

    violations: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)


def roll(old: Path, new: Path, folder: Path, say: Callable[[str], object] = print) -> Findings:
    """Upgrade from the old tree to the new one, roll back, and upgrade again.

    Args:
        old: tree of the version that runs first.
        new: tree of the other one.
        folder: for the queue, pictures and logs.
        say: is told what begins.
    """
    with Deployment(folder) as deployment, running_receiver() as (hook, told):
        say("the old version starts")
        a, a_worker = deployment.start("old", old, "gateway", "worker")
        source = _upload(a)
        stream = Stream(source)
        stream.begin(a.url)
        batches = [_open_batch(a, source, hook)]
        stream.wait_for(_PHASE)

        say("the new version starts beside it")
        b, b_worker = deployment.start("new", new, "gateway", "worker")
        stream.balance(a.url, b.url)
        batches.append(_open_batch(b, source, hook))
        stream.wait_for(2 * _PHASE)
        seen = {"old": _num_workers(a), "new": _num_workers(b)}

        say("the old gateway and its worker are told to stop")
        failed = _failed_calls(a, a_worker)
        stream.balance(b.url)
        statuses = {process.name: process.stop() for process in (a, a_worker)}
        stream.wait_for(_PHASE)

        say("roll back: the old version starts beside the new one")
        c, c_worker = deployment.start("old", old, "gateway", "worker")
        stream.balance(b.url, c.url)
        batches.append(_open_batch(b, source, hook))
        stream.wait_for(_PHASE)

        say("the new gateway and its worker are killed")
        failed += _failed_calls(b, b_worker)
        b.kill()
        b_worker.kill()
        stream.balance(c.url)
        stream.wait_for(_PHASE)
        listed = httpx.get(f"{c.url}/v1/jobs?limit=100", timeout=30, trust_env=False)

        say("the new worker starts again, and all comes to rest")
        (d_worker,) = deployment.start("new", new, "worker")
        stream.stop()
        findings = Findings()
        with connect(deployment.queue.url) as client:
            _wait_for_rest(client, batches, told)
            findings.violations += [
                *stream.wrong,
                *(f"{name} ended with status {status}" for name, status in statuses.items() if status),
                *([] if listed.is_success else [f"GET /v1/jobs: {listed.status_code} {listed.text}"]),
                *(f"the {name} gateway saw {num} workers, not 2" for name, num in seen.items() if num != 2),
                *_wrong_jobs(client, stream),
                *_wrong_batches(c, batches),
                *_wrong_pictures(c, stream, folder),
                *_audited(deployment),
                *failed,
                *_failed_calls(c, c_worker, d_worker),
            ]
        statuses = {process.name: process.stop() for process in (c, c_worker, d_worker)}
        findings.violations += [f"{name} ended with status {status}" for name, status in statuses.items() if status]
        findings.figures = {
            "jobs": len(stream.accepted),
            "calls repeated for want of an answer": stream.num_repeated,
            "batch items": _NUM_ITEMS * len(batches),
            "webhooks told": len(told),
            "times a job was left to the newer version": sum(
                process.log().count("job left to a newer version") for process in deployment.processes
            ),
        }
        return findings


def _upload(gateway: Process) -> str:
    answer = httpx.post(f"{gateway.url}/v1/sources", files={"source": photo_file(1)}, timeout=30, trust_env=False)
    return answer.raise_for_status().json()["id"]


def _open_batch(gateway: Process, source: str, hook: str) -> str:
    items = [
        {"source": {"id": source}, "pose": {"preset": "walking"}, "seed": number % NUM_SEEDS}
        for number in range(_NUM_ITEMS)
    ]
    call = {"items": items, "defaults": {"steps": 4}, "webhook": {"url": hook, "events": ["batch.completed"]}}
    answer = httpx.post(f"{gateway.url}/v1/batches", json=call, timeout=30, trust_env=False)
    assert answer.is_success, f"{gateway.name}: {answer.text}"
    return answer.json()["id"]


def _num_workers(gateway: Process) -> int:
    """As its status page says; none if it can't say."""
    answer = httpx.get(f"{gateway.url}/v1/status", timeout=30, trust_env=False)
    return len(answer.json()["workers"]) if answer.is_success else 0


def _failed_calls(*processes: Process) -> list[str]:
    """Whose calls of the queue have failed, though it was never away."""
    found: list[str] = []
    for process in processes:
        lines = httpx.get(f"{process.url}/metrics", timeout=30, trust_env=False).text.splitlines()
        counts = [float(line.split()[1]) for line in lines if line.startswith("xmdpt_redis_errors_total")]
        found += [f"{process.name} had {count:.0f} calls of the queue fail" for count in counts if count]
    return found


def _wait_for_rest(client: redis.Redis, batches: Sequence[str], told: list[dict[str, Any]]) -> None:
    """Until no job is left, and every batch's end has been told."""
    wait_until(lambda: not client.zcard(f"{_KEYS.prefix}deadlines"), _SETTLE_SECONDS, "every job ends")

    def are_told() -> bool:
        return {event["data"]["id"] for event in list(told)} >= set(batches)

    wait_until(are_told, _SETTLE_SECONDS, f"the ends of {batches} are told: {told}")


def _wrong_jobs(client: redis.Redis, stream: Stream) -> Iterator[str]:
    calls: Any = client
    for job_id in stream.accepted:
        record = calls.hgetall(_KEYS.job(job_id))
        changes = calls.xrange(f"{_KEYS.prefix}history:{job_id}")
        ends = [change["state"] for _, change in changes if change.get("state") in _ENDED]
        if ends != ["succeeded"]:
            yield f"{job_id} ended as {ends}: {json.dumps(record)}"


def _wrong_batches(gateway: Process, batches: Sequence[str]) -> Iterator[str]:
    for batch in batches:
        found = httpx.get(f"{gateway.url}/v1/batches/{batch}", timeout=30, trust_env=False).json()
        if found.get("request_counts", {}).get("succeeded") != _NUM_ITEMS:
            yield f"{batch}: {found}"


def _wrong_pictures(gateway: Process, stream: Stream, folder: Path) -> Iterator[str]:
    """Pictures are equal for equal seeds, and differ otherwise, whoever made them."""
    digests: dict[int, set[str]] = {}
    with httpx.Client(base_url=gateway.url, timeout=30, trust_env=False) as client:
        for job_id, seed in stream.accepted.items():
            answer = client.get(f"/v1/jobs/{job_id}/result")
            if answer.status_code != httpx.codes.OK:
                yield f"{job_id}: {answer.status_code} {answer.text}"
                continue
            file = folder / "picture.png"
            file.write_bytes(answer.content)
            with Image.open(file) as picture:
                digests.setdefault(seed, set()).add(hashlib.sha256(picture.tobytes()).hexdigest())
    yield from (f"seed {seed} has {len(found)} pictures" for seed, found in digests.items() if len(found) > 1)
    if len(set().union(*digests.values())) != len(digests):
        yield "different seeds have the same picture"


def _audited(deployment: Deployment) -> list[str]:
    async def audit() -> list[str]:
        auditor = RedisQueueAuditor(deployment.queue.url, _KEYS, QueuePolicy())
        try:
            return [f"audit: {kind} {names}" for kind, names in (await auditor.audit()).items()]
        finally:
            await auditor.aclose()

    return asyncio.run(audit())
