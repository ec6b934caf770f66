"""What the client believes of a call that names itself a webhook."""

import json
import time

import pytest

from service.domain.webhook import secret_text, signature
from xmdpt_client import WebhookError, verify_webhook

SECRET, OTHER = secret_text(b"s" * 32), secret_text(b"o" * 24)
BODY = json.dumps({"type": "job.succeeded", "data": {"id": "job_1"}}).encode()


def headers_of(*secrets: str, at: float | None = None, **changes: str) -> dict[str, str]:
    timestamp = int(time.time() if at is None else at)
    headers = {"Webhook-Id": "msg_1", "WEBHOOK-TIMESTAMP": str(timestamp)}
    return headers | {"webhook-signature": signature(secrets, "msg_1", timestamp, BODY)} | changes


@pytest.mark.parametrize("secrets", [(SECRET,), (OTHER, SECRET), (SECRET, OTHER)])
def test_call_when_one_signature_fits_then_it_is_believed(secrets: tuple[str, ...]) -> None:
    assert verify_webhook(SECRET, headers_of(*secrets), BODY) == json.loads(BODY)


@pytest.mark.parametrize(
    ("headers", "body", "complaint"),
    [
        (headers_of(OTHER), BODY, "no signature fits"),
        (headers_of(SECRET), BODY + b" ", "no signature fits"),
        (headers_of(SECRET, **{"Webhook-Id": "msg_2"}), BODY, "no signature fits"),
        (headers_of(SECRET, **{"WEBHOOK-TIMESTAMP": "1"}), BODY, "no signature fits"),
        (headers_of(SECRET, **{"webhook-signature": ""}), BODY, "no signature fits"),
        (headers_of(SECRET, **{"webhook-signature": "v1,é"}), BODY, "no signature fits"),
        (headers_of(SECRET, at=time.time() - 3600), BODY, "too old"),
        (headers_of(SECRET, at=time.time() + 86_400), BODY, "too old"),
        ({"webhook-id": "msg_1", "webhook-timestamp": "1"}, BODY, "webhook-signature is missing"),
        ({}, BODY, "webhook-id is missing"),
    ],
)
def test_call_when_anything_is_wrong_then_it_is_not_believed(
    headers: dict[str, str], body: bytes, complaint: str
) -> None:
    with pytest.raises(WebhookError, match=complaint):
        verify_webhook(SECRET, headers, body)


def test_call_when_it_is_old_and_that_is_allowed_then_it_is_believed() -> None:
    headers = headers_of(SECRET, at=time.time() - 3600)

    assert verify_webhook(SECRET, headers, BODY, tolerance_seconds=7200)
