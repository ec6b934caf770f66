"""Clients that do a little of everything, so that every metric moves."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import httpx

from tests.integration.processes import EXAMPLES, RunningService, multipart

# Calls last as long as they are told to: the queue, the engine and the edge are what is watched.
SETTINGS = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "2",
    "XMDPT_SIMULATED__ROW_MS": "0.4",
    "XMDPT_WEBHOOKS__DEVELOPMENT": "true",
    "XMDPT_LOG_LEVEL": "warning",
}
_PHOTO, _POSE = (EXAMPLES / "person.png").read_bytes(), json.loads((EXAMPLES / "pose.json").read_text())


class Traffic:
    """Calls of one service; for several threads."""

    def __init__(self, service: RunningService, webhook_url: str) -> None:
        self._service, self._client, self._webhook_url = service, service.client, webhook_url
        self._numbers = count()

    def round(self) -> None:
        """One of everything: a picture, a repeat, a webhook, a cancel, a preview, a batch, and what is refused."""
        number = next(self._numbers)
        for _ in range(2):
            self.picture(headers={"Idempotency-Key": f"key-{number}"}, webhook={"url": self._webhook_url})
        assert self._client.post("/generate", files={"source": b"x"}).is_client_error
        params = json.dumps({"steps": 250, "preview": {"every_steps": 20}})
        job = self._service.submit(_PHOTO, _POSE, params=params)
        self._client.post(job["urls"]["cancel"]).raise_for_status()
        self.batch(2)

    def picture(self, headers: dict[str, str] | None = None, **fields: Any) -> None:
        """A call that waits."""
        call = multipart(_PHOTO, _POSE, {"params": json.dumps({"steps": 10} | fields)})
        response = self._client.post("/generate", headers={"Prefer": "wait=60"} | (headers or {}), **call)
        assert response.status_code == httpx.codes.OK, response.text

    def batch(self, num_poses: int) -> str:
        """A batch of the bundled photo in so many poses; its id."""
        source = self._client.post("/v1/sources", files={"source": _PHOTO}).raise_for_status().json()["id"]
        points = _POSE["keypoints"]
        poses = [
            {"keypoints": [point and [point[0] + 0.01 * number, point[1]] for point in points], "size": _POSE["size"]}
            for number in range(num_poses)
        ]
        call = {"matrix": {"sources": [{"id": source}], "poses": poses}, "defaults": {"steps": 10}}
        return self._client.post("/v1/batches", json=call).raise_for_status().json()["id"]


@contextmanager
def traffic(service: RunningService) -> Iterator[Traffic]:
    """With a receiver that takes every webhook."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, daemon=True)
        thread.start()
        yield Traffic(service, f"http://127.0.0.1:{receiver.server_port}/hook")
        receiver.shutdown()
        thread.join()


class _Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
