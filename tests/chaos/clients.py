"""Clients over HTTP: each submits what it wishes, repeats, hangs up, cancels, follows its job and fetches the picture.

They write down every call and judge none.
"""

import asyncio
import functools
import hashlib
import random
import time

import httpx

from tests.chaos.history import NO_ANSWER, Call, Order, Wish
from tests.chaos.pictures import photo_file, pose_file
from tests.chaos.stream import EventStream

_FINAL = {"succeeded", "failed", "cancelled"}
_TRY_AGAIN = {NO_ANSWER, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS}
_PATIENCE_SECONDS = 60.0
_FOLLOW_SECONDS = 150.0
_PAUSE_SECONDS = 0.2
_WAIT_SECONDS, _POLL_SECONDS = 8, 4
_TIMEOUT_SECONDS = 30.0
_TYPICAL_STEP_SECONDS = 0.03


class Clients:
    """All clients of a run; one connection pool, as behind a proxy."""

    def __init__(self, address: str, stream: EventStream, seed: int) -> None:
        """Nothing is sent yet."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=40)
        self._http = httpx.AsyncClient(base_url=address, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False)
        self._stream = stream
        self._rng = random.Random(f"clients {seed}")
        self._step_seconds = _TYPICAL_STEP_SECONDS

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def serve(self, order: Order) -> None:
        """Be one client, from its submission to its picture or its patience's end."""
        wish = order.wish
        if wish.doubling == "cut":
            await self._hang_up(order)
        if wish.doubling == "at once":
            await asyncio.gather(self._submit(order), self._submit(order))
        else:
            await self._submit(order)
        if not order.job_ids:
            return
        job_id = sorted(order.job_ids)[0]
        if wish.doubling == "changed":
            await self._call(order, "changed", self._submission(wish, wish.num_steps + 1))
        if wish.cancel:
            await self._cancel(order, job_id)
        await self._follow(order, job_id)
        if wish.doubling == "later":
            await self._submit(order)
        self._learn(wish, job_id)

    async def _submit(self, order: Order) -> None:
        """Submit until it is answered; without a key, an answer that got lost is not asked for again."""
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            call = await self._call(order, "submit", self._submission(order.wish, order.wish.num_steps))
            # Not so a connection that was refused: nothing was sent.
            is_lost = call.status == NO_ANSWER and call.code != "ConnectError" and not order.wish.key
            if call.job_id or call.status not in _TRY_AGAIN or is_lost:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _hang_up(self, order: Order) -> None:
        """Submit and close the connection before the answer can be read, or just after."""
        request = self._submission(order.wish, order.wish.num_steps)
        request.extensions["timeout"] |= {"read": self._rng.uniform(0.001, 0.05)}
        await self._call(order, "cut", request)

    async def _cancel(self, order: Order, job_id: str) -> None:
        """Cancel at the chosen moment, and look at once for a result that must not be there."""
        if order.wish.cancel == "near the end":
            await self._stream.wait_for(job_id, {"job.started"}, _PATIENCE_SECONDS)
            whole = (order.wish.num_steps + 1) * self._step_seconds
            await asyncio.sleep(whole * self._rng.uniform(0.4, 1.0))
        else:
            await asyncio.sleep(self._rng.uniform(0, 0.8))
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            call = await self._call(order, "cancel", self._http.build_request("POST", f"/v1/jobs/{job_id}/cancel"))
            if call.status not in _TRY_AGAIN:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        await self._call(order, "result", self._http.build_request("GET", f"/v1/jobs/{job_id}/result"))

    async def _follow(self, order: Order, job_id: str) -> None:
        """Look at the job until it has ended, by short and long polls, then fetch its result."""
        give_up_at = time.monotonic() + _FOLLOW_SECONDS
        state = ""
        while state not in _FINAL and time.monotonic() < give_up_at:
            is_long = self._rng.random() < 0.5
            headers = {"Prefer": f"wait={_POLL_SECONDS}"} if is_long else {}
            request = self._http.build_request("GET", f"/v1/jobs/{job_id}", headers=headers)
            call = await self._call(order, "status", request)
            state = call.state
            if state not in _FINAL:
                await asyncio.sleep(_PAUSE_SECONDS)
        while state in _FINAL and time.monotonic() < give_up_at:
            call = await self._call(order, "result", self._http.build_request("GET", f"/v1/jobs/{job_id}/result"))
            if call.status not in _TRY_AGAIN:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    def _learn(self, wish: Wish, job_id: str) -> None:
        """How long a step takes now, so that cancels meet the end of their jobs."""
        seconds = self._stream.run_seconds(job_id)
        if seconds is not None:
            self._step_seconds += 0.1 * (seconds / (wish.num_steps + 1) - self._step_seconds)

    def _submission(self, wish: Wish, num_steps: int) -> httpx.Request:
        fields = {"seed": wish.seed, "steps": num_steps, "format": wish.format, "priority": wish.priority}
        if wish.deadline_seconds is not None:
            fields["deadline_ms"] = round(wish.deadline_seconds * 1000)
        headers = {"Prefer": f"wait={_WAIT_SECONDS}"} if wish.is_waiting else {}
        if wish.key:
            headers["Idempotency-Key"] = wish.key
        return self._http.build_request(
            "POST",
            "/v1/generate" if wish.is_waiting else "/v1/jobs",
            headers=headers,
            data={name: str(value) for name, value in fields.items()},
            files={
                "source": ("source.png", _photo(wish.photo, wish.poison), "image/png"),
                "pose": ("pose.json", _pose(wish.pose), "application/json"),
            },
        )

    async def _call(self, order: Order, verb: str, request: httpx.Request) -> Call:
        started = time.time()
        waits = float(request.headers.get("Prefer", "wait=0").removeprefix("wait="))
        try:
            response = await self._http.send(request)
        except httpx.TransportError as error:
            call = Call(verb, started, time.time() - started, code=type(error).__name__, wait_seconds=waits)
        else:
            said = _read(response)
            call = Call(verb, started, time.time() - started, response.status_code, wait_seconds=waits, **said)
        order.calls.append(call)
        return call


def _read(response: httpx.Response) -> dict[str, str]:
    """What an answer says."""
    if "json" not in response.headers.get("content-type", ""):
        digest = hashlib.sha256(response.content).hexdigest()
        return {"job_id": response.headers.get("x-xmdpt-job-id", ""), "state": "succeeded", "sha256": digest}
    body = response.json()
    if response.headers["content-type"].startswith("application/problem"):
        return {"code": body["code"], "job_id": body.get("job_id", "")}
    return {"job_id": body["id"], "state": body["status"]}


@functools.lru_cache(maxsize=64)
def _photo(number: int, poison: str) -> bytes:
    return photo_file(number, poison)


@functools.lru_cache
def _pose(number: int) -> bytes:
    return pose_file(number)
