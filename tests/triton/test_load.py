"""The load tests call a real Triton as any client of it would."""

import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np

from loadtests.records import read_records
from loadtests.triton_request import PATH, triton_request
from tests.fakes.triton_process import TritonProcess

ROOT = Path(__file__).resolve().parents[2]


def test_request_when_sent_to_triton_then_a_picture_comes(triton_process: TritonProcess) -> None:
    photo = (ROOT / "examples" / "person.png").read_bytes()
    headers, body = triton_request(photo, 4, seed=1, prediction="v")

    answer = httpx.post(
        f"http://127.0.0.1:{triton_process.ports['http']}{PATH}",
        content=body,
        headers=headers,
        timeout=60,
        trust_env=False,
    )
    head = int(answer.headers["inference-header-content-length"])
    picture = np.frombuffer(answer.content[head:], np.uint8)

    assert answer.status_code == 200, answer.text
    assert picture.size == 256 * 256 * 3
    assert picture.std() > 1


def test_load_when_aimed_at_triton_then_every_call_is_answered(triton_process: TritonProcess, tmp_path: Path) -> None:
    words = [
        "constant",
        "--triton",
        f"http://127.0.0.1:{triton_process.ports['http']}",
        "--rate",
        "2",
        "--seconds",
        "3",
    ]

    done = subprocess.run(
        [sys.executable, "-m", "loadtests", *words, "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    assert "a Triton alone" in done.stdout
    assert {record.outcome for record in read_records(tmp_path / "constant" / "records.jsonl")} == {"succeeded"}
