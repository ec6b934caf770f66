"""Webhooks through the whole service: the documented receiver, real processes, and secrets from the command line."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.domain.webhook import signature
from tests.integration.processes import EXAMPLES, ROOT, free_port, running_service, serve, wait_until
from xmdpt_client import Client, verify_webhook

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
(PROGRAM, CHECK) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
SETTINGS = {"XMDPT_BACKEND": "simulated", "XMDPT_WEBHOOKS__DEVELOPMENT": "true"}


def said(*words: str, **settings: str) -> str:
    ended = serve(*words, **settings)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@contextmanager
def documented_receiver(folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """The page's program at a free port: its address, and what it prints."""
    port, printed = free_port(), folder / "told.txt"
    program = PROGRAM.replace("9000", str(port))
    with printed.open("w") as out, (folder / "errors.txt").open("w") as errors:
        environment = os.environ | {"WEBHOOK_SECRET": secret}
        process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=out, stderr=errors)
        try:
            yield f"http://127.0.0.1:{port}/hook", printed
        finally:
            process.kill()
            process.wait()


def test_job_when_it_names_a_webhook_then_the_documented_receiver_believes_what_it_is_told(tmp_path: Path) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data")}
    with running_service(tmp_path, **SETTINGS) as service:
        secret = said("webhooks", "secret", **data)
        assert said("webhooks", "secret", "--tenant", "default", **data) == secret
        assert said("webhooks", "secret", "--tenant", "other", **data) != secret
        address = f"http://127.0.0.1:{service.port}"
        with documented_receiver(tmp_path, secret) as (url, printed), Client(address) as client:

            def is_told(job_id: str) -> bool:
                return f"job.succeeded {job_id}\n" in printed.read_text()

            job = client.submit(EXAMPLES / "person.png", EXAMPLES / "pose.json", steps=2, webhook=url)
            wait_until(lambda: is_told(job.id), 60, "the end is told")
            new = said("webhooks", "rotate", **data)
            assert new != secret
            hook = {"url": url, "events": ["job.started", "job.succeeded"]}
            job = client.submit(EXAMPLES / "person.png", EXAMPLES / "pose.json", steps=2, webhook=hook)
            wait_until(lambda: is_told(job.id), 60, "the old secret signs too")
            assert printed.read_text().splitlines()[-2:] == [f"job.started {job.id}", f"job.succeeded {job.id}"]
            source = client.upload_source(EXAMPLES / "person.png")
            call = {
                "matrix": {"sources": [{"id": source.id}], "poses": [{"preset": "back"}]},
                "defaults": {"steps": 2},
                "webhook": {"url": url, "events": ["job.succeeded", "batch.completed"]},
            }
            batch = service.client.post("/v1/batches", json=call).raise_for_status().json()
            # Of what has different names nothing is promised about the order.
            wait_until(lambda: len(printed.read_text().splitlines()) == 5, 60, "the ends of item and batch are told")
            told = sorted(printed.read_text().splitlines()[-2:])
            assert (told[0], told[1][:18]) == (f"batch.completed {batch['id']}", "job.succeeded job_")
            forged = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
            assert httpx.post(url, headers=forged, content=b"{}").status_code == httpx.codes.BAD_REQUEST
        metrics = service.client.get("/metrics").text
        assert 'xmdpt_webhook_deliveries_total{outcome="delivered"} 5.0' in metrics
        assert secret not in service.log_path.read_text()


def test_page_when_its_check_is_run_then_it_believes_the_service() -> None:

    secret, body, now = "whsec_" + "c2Vj" * 8, b'{"type": "job.failed"}', int(time.time())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now)}
    names = {
        "secret": secret,
        "headers": headers | {"webhook-signature": signature([secret], "msg_1", now, body)},
        "body": body,
    }

    exec(CHECK, names)

    assert names["event"] == {"type": "job.failed"} == verify_webhook(secret, names["headers"], body)


@pytest.mark.parametrize(
    "words", [["webhooks"], ["webhooks", "secret", "--tenant", "../x"], ["webhooks", "rotate", "x"]]
)
def test_webhooks_when_a_word_is_wrong_then_it_is_named(words: list[str]) -> None:
    ended = serve(*words)

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
