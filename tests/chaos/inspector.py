"""Looks into the queue and the store: at each result soon after its job has succeeded, at everything in the end.

It says what is there, not whether it may be: that is `tests.chaos.rules`.
"""

import asyncio
import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import redis.asyncio
from PIL import Image
from redis.exceptions import RedisError

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import request_from_json
from service.adapters.simulated_backend import expected_picture
from service.domain.inputs import unpack_inputs
from service.domain.request import GenerationRequest, ImageFormat
from service.engine.delivery import picture_file
from tests.chaos.history import Inspection, Leftovers, Record

_PAUSE_SECONDS = 0.05
_PAGE = 1000
_SHAPE = (256, 256, 3)
# Indexes of living jobs; `ready:*` is a pattern, as the queue has one such line for each class and tenant.
_INDEXES = ("ready:*", "tenants:*", "suspects", "delayed", "leases", "deadlines", "alone")


class Inspector:
    """Reads with a client of its own, past the service."""

    def __init__(self, client: redis.asyncio.Redis, keys: RedisKeys, blobs: Path) -> None:
        """Nothing is read yet.

        Args:
            client: this inspector's own.
            keys: of the queue.
            blobs: folder of the pictures.
        """
        self._client, self._keys, self._blobs = client, keys, blobs
        self.inspections: dict[str, Inspection] = {}

    async def run(self, succeeded: asyncio.Queue[str]) -> None:
        """Inspect one result after the other, until cancelled."""
        while True:
            job_id = await succeeded.get()
            self.inspections[job_id] = await self._inspect(job_id)
            succeeded.task_done()

    async def _inspect(self, job_id: str) -> Inspection:
        while True:
            try:
                fields = await self._client.hgetall(self._keys.job(job_id))
                break
            except (RedisError, OSError):
                await asyncio.sleep(_PAUSE_SECONDS)
        # Decoding and hashing beside the event loop: clients' times must not suffer from it.
        return await asyncio.to_thread(_inspection, job_id, fields, self._blobs)

    async def records(self) -> dict[str, Record]:
        """Every record that the queue holds."""
        found: dict[str, Record] = {}
        prefix = self._keys.job("")
        names = [name async for name in self._client.scan_iter(f"{prefix}*", count=_PAGE)]
        for start in range(0, len(names), _PAGE):
            calls = self._client.pipeline(transaction=False)
            page = names[start : start + _PAGE]
            for name in page:
                calls.hgetall(name)
            for name, fields in zip(page, await calls.execute(), strict=True):
                job_id = name.removeprefix(prefix)
                found[job_id] = to_record(job_id, fields)
        return found

    async def leftovers(self) -> Leftovers:
        """What the queue's counts and indexes and the folders hold."""
        prefix = self._keys.prefix
        live = await self._client.hgetall(f"{prefix}live")
        indexed: dict[str, int] = {}
        for index in _INDEXES:
            async for name in self._client.scan_iter(f"{prefix}{index}", count=_PAGE):
                kind = await self._client.type(name)
                indexed[name] = await (self._client.hlen(name) if kind == "hash" else self._client.zcard(name))
        # What a killed worker had not written in full has another name, and goes with its folder.
        outputs = [path for path in (self._blobs / "out").glob("job_*/*") if path.name.isdigit()]
        return Leftovers(
            live=max((abs(int(count)) for count in live.values()), default=0),
            indexed=indexed,
            outputs=frozenset((path.parent.name, int(path.name)) for path in outputs),
            inputs=frozenset(path.name for path in (self._blobs / "in").iterdir() if path.name.startswith("job_")),
            deletable=frozenset(await self._client.smembers(f"{prefix}deletable")),
            at=time.time(),
        )


def to_record(job_id: str, fields: Mapping[str, str]) -> Record:
    """A record's hash as a value."""
    request, result = json.loads(fields["request"]), json.loads(fields.get("result") or "{}")
    record = Record(
        job_id=job_id,
        state=fields["state"],
        seed=request["params"]["seed"],
        num_steps=request["params"]["num_steps"],
        source_digest=request["source_digest"],
        pose_digest=request["pose_digest"],
        deliveries=int(fields["deliveries"]),
        failures=int(fields["failures"]),
        fence=int(fields.get("fence", 0)),
        created_at=int(fields["created_ms"]) / 1000,
        error_code=fields.get("error_code", ""),
        is_expired="expired" in fields,
    )
    moments = {"ended_at": "ended_ms", "deadline_at": "deadline_ms"}
    found = {name: int(fields[field]) / 1000 for name, field in moments.items() if field in fields}
    if result:
        found |= {"result_fence": result["fence"], "sha256": result["files"][0]["sha256"]}
    return replace(record, **found)


def _inspection(job_id: str, fields: Mapping[str, str], blobs: Path) -> Inspection:
    fence = json.loads(fields["result"])["fence"]
    try:
        content = (blobs / "out" / job_id / str(fence)).read_bytes()
        inputs = (blobs / "in" / job_id).read_bytes()
    except FileNotFoundError:
        return Inspection(job_id, None, "", is_picture_right=False)
    is_right = is_picture_of(content, request_from_json(fields["request"]), inputs)
    return Inspection(job_id, fence, hashlib.sha256(content).hexdigest(), is_right)


def is_picture_of(content: bytes, request: GenerationRequest, inputs: bytes) -> bool:
    """Whether a file shows what the simulated graphs make of this request and these inputs."""
    photo, skeleton = (np.frombuffer(part, np.uint8).reshape(_SHAPE) for part in unpack_inputs(inputs))
    pixels = expected_picture(photo, skeleton, request.params, request.model)
    expected = Image.fromarray(pixels)
    if request.output.format is not ImageFormat.PNG:
        # Lossy: what the same pixels look like once they have been through the same encoder.
        expected = Image.open(io.BytesIO(picture_file(pixels, request.output)))
    with Image.open(io.BytesIO(content)) as picture:
        is_format = picture.format == request.output.format.value.upper()
        return is_format and np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(expected.convert("RGB")))
