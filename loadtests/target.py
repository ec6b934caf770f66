"""What is aimed at: a service that runs, or one that is started for the run; and what it can do, as it says itself."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import httpx

from loadtests.triton_request import PATH, triton_request
from xmdpt.spec import Prediction

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_START_SECONDS = 60
_STOP_SECONDS = 60
_NUM_ALONE = 3


class TargetError(Exception):
    """What went wrong, for a person to read."""


@contextmanager
def started_service(num_workers: int, settings: Mapping[str, str]) -> Iterator[str]:
    """`xmdpt-serve all` in a folder that is gone afterwards, and more workers beside it; yields its address."""
    with tempfile.TemporaryDirectory(prefix="xmdpt-load-") as folder, (Path(folder) / "log").open("w") as log:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("XMDPT_", "REDIS_URL"))
        }
        environment |= {
            "XMDPT_GATEWAY__PORT": str(_free_port()),
            "XMDPT_WORKER__OPS_PORT": str(_free_port()),
            "XMDPT_DATA_DIR": f"{folder}/data",
            **settings,
        }
        command = [sys.executable, "-m", "service", "all"]
        processes = [subprocess.Popen(command, env=environment, stdout=log, stderr=log)]
        address = f"http://127.0.0.1:{environment['XMDPT_GATEWAY__PORT']}"
        try:
            _wait_for_workers(address, 1, processes, Path(folder) / "log")
            # Only a service that listens on this computer has a queue of its own, as a socket in its folder.
            (queue,) = Path(folder).rglob("*.sock")
            url = {"REDIS_URL": f"unix://{queue}"}
            for _ in range(num_workers - 1):
                more = environment | url | {"XMDPT_WORKER__OPS_PORT": str(_free_port())}
                processes.append(
                    subprocess.Popen([sys.executable, "-m", "service", "worker"], env=more, stdout=log, stderr=log)
                )
            _wait_for_workers(address, num_workers, processes, Path(folder) / "log")
            yield address
        finally:
            stop_all(processes)


def stop_all(processes: Sequence["subprocess.Popen[bytes]"], patience_seconds: float = _STOP_SECONDS) -> None:
    """Ask all to end, the last first, and kill those that have not within that time; returns once all are gone."""
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def jobs_per_second(client: httpx.Client, steps: Sequence[int]) -> float:
    """What the workers can do at most with jobs of these steps, by what they have measured of themselves.

    Raises:
        TargetError: nobody works there, or there is no such service.
    """
    workers = _status(client)["workers"]
    if not workers:
        raise TargetError("no worker is alive there")
    return sum(each["max_batch"] / max(each["step_ms"], 1e-3) for each in workers) * 1000 / mean(steps)


def seconds_alone(
    client: httpx.Client, steps: Sequence[int], prediction: Prediction | None = None
) -> Mapping[int, float]:
    """By steps, how long a job takes that is alone; the first of a few is left out, and the median of the others told.

    Args:
        client: of a service, or with a prediction of a Triton.
        steps: to be tried.
        prediction: of the Triton's model.

    Raises:
        TargetError: it makes no picture.
    """
    photo = (_EXAMPLES / "person.png").read_bytes()
    found = {}
    for number in steps:
        times = []
        for _ in range(_NUM_ALONE + 1):
            start = time.perf_counter()
            with _answering(client):
                answer = _picture(client, photo, number, prediction)
            if answer.status_code != httpx.codes.OK:
                raise TargetError(f"it makes no picture: status {answer.status_code}: {answer.text[:200]}")
            times.append(time.perf_counter() - start)
        found[number] = sorted(times[1:])[_NUM_ALONE // 2]
    return found


def _picture(client: httpx.Client, photo: bytes, steps: int, prediction: Prediction | None) -> httpx.Response:
    if prediction:
        headers, body = triton_request(photo, steps, seed=1, prediction=prediction)
        return client.post(PATH, content=body, headers=headers)
    fields = {"steps": str(steps), "pose_preset": "standing"}
    return client.post("/generate", files={"source": photo}, data=fields, headers={"Accept": "image/png"})


@contextmanager
def _answering(client: httpx.Client) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise TargetError(f"nobody answers at {client.base_url} ({type(error).__name__})") from None


def _status(client: httpx.Client) -> dict[str, Any]:
    with _answering(client):
        answer = client.get("/v1/status")
    if answer.status_code != httpx.codes.OK:
        raise TargetError(f"{client.base_url} answers status {answer.status_code}: {answer.text[:200]}")
    return answer.json()


def _wait_for_workers(address: str, number: int, processes: Sequence["subprocess.Popen[bytes]"], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(base_url=address, trust_env=False) as client:
        while time.monotonic() < deadline and all(process.poll() is None for process in processes):
            try:
                if len(_status(client)["workers"]) >= number:
                    return
            except TargetError:
                pass
            time.sleep(0.1)
    raise TargetError(
        "the service did not get ready; the end of its log:\n" + "\n".join(log.read_text().splitlines()[-15:])
    )


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
