"""API keys from the command line to the answer: made beside a running service, needed, and revoked."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.integration.processes import running_service, serve, wait_until


def good(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_service_when_keys_are_needed_then_only_their_holders_are_served_until_they_are_revoked(tmp_path: Path) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data")}
    settings = {"XMDPT_BACKEND": "simulated", "XMDPT_GATEWAY__AUTH": "keys"}
    with running_service(tmp_path, **settings) as service:
        key = good(serve("keys", "create", "--tenant", "ada", "--requests-per-minute", "1000", **data))
        key_id, secret = key.removeprefix("xmdpt_").split("_", 1)

        def status(text: str | None) -> int:
            headers = {"Authorization": f"Bearer {text}"} if text else {}
            return service.client.get("/v1/models", headers=headers).status_code

        assert status(None) == httpx.codes.UNAUTHORIZED
        assert status(key) == httpx.codes.OK
        (shown,) = json.loads(good(serve("keys", "list", "--json", **data)))
        assert (shown["id"], shown["tenant"], shown["scopes"]) == (key_id, "ada", ["generate", "jobs:read"])
        assert key_id in good(serve("keys", "list", **data))

        assert good(serve("keys", "revoke", key_id, **data)) == f"{key_id} is revoked"

        wait_until(lambda: status(key) == httpx.codes.UNAUTHORIZED, 20, "the key is no good any more")
        assert serve("keys", "revoke", key_id, **data).returncode == 78
        assert secret not in service.log_path.read_text()
        assert secret not in service.client.get("/metrics").text


def test_keys_when_nothing_runs_then_they_are_made_all_the_same_and_then_needed(tmp_path: Path) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data")}
    keys = [good(serve("keys", "create", "--tenant", "ada", "--days", "30", **data)) for _ in range(2)]
    third = serve("keys", "create", "--tenant", "ada", **data)

    assert (third.returncode, third.stdout) == (78, "")
    assert "ada has 2 live keys" in third.stderr
    with running_service(tmp_path, XMDPT_BACKEND="simulated") as service:
        for key in keys:
            answer = service.client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == httpx.codes.OK
        assert service.client.get("/v1/models").status_code == httpx.codes.UNAUTHORIZED


def test_gateway_when_other_computers_could_call_and_there_is_no_key_then_it_does_not_start(tmp_path: Path) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data"), "XMDPT_BACKEND": "simulated", "XMDPT_GATEWAY__PORT": "0"}

    ended = serve("all", XMDPT_GATEWAY__HOST="0.0.0.0", XMDPT_WORKER__OPS_PORT="0", **data)

    assert ended.returncode == 78
    assert "xmdpt-serve keys create --tenant NAME" in ended.stderr
    assert "XMDPT_GATEWAY__AUTH=off" in ended.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["create"], "--tenant"),
        (["create", "--tenant", "../x"], "must be 1 to 64 letters"),
        (["create", "--tenant", "ada", "--scopes", "everything"], "there are generate, jobs:read, admin"),
        (["create", "--tenant", "ada", "--burst", "0"], "whole number from 1"),
        (["revoke", "short"], "8 characters"),
    ],
)
def test_keys_when_a_word_is_wrong_then_it_is_named(words: list[str], complaint: str) -> None:
    ended = serve("keys", *words)

    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr
