"""The project's command around Triton: what it starts, what it refuses in a line, and that nothing of it is left."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processes import children, command_line, free_port, wait_until
from tests.triton.lab_repository import SHIPPED, a_lookup, a_shipped_model
from tests.triton.running_triton import COMMAND, install_triton, run_command

SHARED_MEMORY = Path("/dev/shm")


def run(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=60)


@contextlib.contextmanager
def started(work: Path, repository: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, whatever it does; killed in the end."""
    install_triton()
    command = run_command(work, "--repository", str(repository))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def server_of(process: subprocess.Popen[str]) -> int:
    """Process id of the server, once it runs."""

    def found() -> int | None:
        servers = [pid for pid in children(process.pid) if "/bin/tritonserver" in command_line(pid)]
        return servers[0] if servers else None

    return wait_until(found, 60, "the server's process is there")  # type: ignore[return-value]


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A small repository, without a manifest and without a configuration for the CPU."""
    root = tmp_path / "toys"
    a_lookup(root, "toy", batch=1)
    return root


def test_server_when_told_to_stop_then_it_has_said_one_line_and_nothing_is_left(toys: Path, tmp_path: Path) -> None:
    with started(tmp_path / "work", toys) as process:
        assert process.stdout
        line = process.stdout.readline()
        family = [server_of(process), *children(server_of(process))]
        process.send_signal(signal.SIGTERM)

        rest, errors = process.communicate(timeout=60)

    assert (process.returncode, rest, errors) == (0, "", "")
    assert line.startswith("Triton 2.51.0 is ready after ")
    assert line.endswith("models: toy\n")
    assert [pid for pid in family if command_line(pid)] == []
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["triton.log"]


def test_server_when_its_folder_has_one_of_the_users_then_that_survives(tmp_path: Path) -> None:
    users = tmp_path / "models"
    shutil.copytree(SHIPPED, users)
    before = sorted(users.rglob("*"))
    with started(tmp_path, users) as process:
        assert process.stdout
        assert "is ready" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")

    assert sorted(users.rglob("*")) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "triton.log"]


def test_server_when_told_to_stop_before_it_is_ready_then_it_ends(tmp_path: Path) -> None:
    with started(tmp_path, SHIPPED) as process:
        server = server_of(process)
        process.send_signal(signal.SIGTERM)

        assert process.communicate(timeout=60) == ("", "")

    assert process.returncode == 0
    assert not command_line(server)


def test_server_when_told_to_stop_before_it_is_started_then_no_copy_is_left(tmp_path: Path) -> None:
    with started(tmp_path, SHIPPED) as process:
        wait_until(lambda: list(tmp_path.glob("models-*")), 20, "the copy is begun")
        process.send_signal(signal.SIGTERM)

        assert process.communicate(timeout=60) == ("", "")

    assert process.returncode == 0
    assert not list(tmp_path.glob("models-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_installation_when_interrupted_then_it_says_so_in_a_line(tmp_path: Path, number: signal.Signals) -> None:
    install_triton()
    with (tmp_path / ".lock").open("w") as lock:
        # It waits for another one.
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [*COMMAND, "install", "--venv", str(tmp_path)]
        # Where this run is in the background of a shell, SIGINT is ignored, here and by whom we start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                opened = Path(f"/proc/{process.pid}/fd")
                wait_until(
                    lambda: any(path.resolve() == tmp_path / ".lock" for path in opened.iterdir()), 20, "it waits"
                )
                process.send_signal(number)
                assert process.communicate(timeout=20) == ("", "triton: interrupted\n")
            finally:
                process.kill()
                signal.signal(signal.SIGINT, before)
    assert process.returncode == 2


def test_server_when_its_starter_is_killed_then_it_does_not_live_on(toys: Path, tmp_path: Path) -> None:
    with started(tmp_path / "work", toys) as process:
        assert process.stdout
        process.stdout.readline()
        family = [server_of(process), *children(server_of(process))]
        process.kill()
        process.wait()
        try:
            wait_until(lambda: not any(command_line(pid) for pid in family), 20, "all of it has ended")
        finally:
            # What only its starter could have removed.
            for region in SHARED_MEMORY.glob(f"xmdpt-triton-{process.pid}-*"):
                region.unlink()


def test_server_when_it_dies_then_the_starter_says_so_and_frees_its_memory(toys: Path, tmp_path: Path) -> None:
    with started(tmp_path / "work", toys) as process:
        assert process.stdout
        process.stdout.readline()
        assert list(SHARED_MEMORY.glob(f"xmdpt-triton-{process.pid}-*"))
        os.kill(server_of(process), signal.SIGKILL)

        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert errors == f"triton: the server was ended by SIGKILL; its log: {tmp_path}/work/triton.log\n"
    assert not list(SHARED_MEMORY.glob(f"xmdpt-triton-{process.pid}-*"))


def test_server_when_a_model_is_refused_then_it_does_not_start_and_says_why(tmp_path: Path) -> None:
    a_shipped_model(tmp_path / "models", "swapped", "canet").write_bytes(b"something else")
    with started(tmp_path / "work", tmp_path / "models") as process:
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    first, second, *_ = errors.splitlines()
    assert first == f"triton: the server ended with status 1; its log: {tmp_path}/work/triton.log"
    assert f"failed to load 'swapped' version 1: Internal: TritonModelException: {tmp_path}/models/swapped" in second
    assert second.endswith("restore the file")


def test_server_when_its_port_is_taken_then_the_option_for_another_one_is_named(toys: Path, tmp_path: Path) -> None:
    install_triton()
    for name in ("http", "grpc", "metrics"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            command = run_command(tmp_path, "--repository", str(toys))
            command[command.index(f"--{name}-port") + 1] = str(port)
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

        assert done.returncode == 2
        assert done.stderr == f"triton: 127.0.0.1:{port}: Address already in use; choose another with --{name}-port\n"


def test_server_when_the_call_is_wrong_then_a_line_says_what_to_change(tmp_path: Path) -> None:
    install_triton()
    free = str(free_port())
    for options, reason in (
        (("--http-port", free, "--grpc-port", free), f"triton: the ports {free}, {free}, 8002 must differ"),
        (("--http-port", "0"), "triton: 0: no port; choose one of 1 to 65535 with --http-port"),
        (("--grpc-port", "65536"), "triton: 65536: no port; choose one of 1 to 65535 with --grpc-port"),
        (("--host", "no host"), "triton: no host: Name or service not known; choose another with --host"),
        (("--host", "::1"), "triton: ::1: Address family for hostname not supported; choose another with --host"),
        (run_command(SHIPPED / "work")[3:], "work: is in the repository, which is never written to; choose another"),
        (("--venv", str(tmp_path)), f"{tmp_path}: Triton is not installed there; run `server.py install --venv "),
        (run_command(tmp_path, "--repository", "nowhere")[3:], "nowhere: no such folder; name one with --repository"),
        ([*run_command(tmp_path)[3:], "--", "--nonsense"], "tritonserver: unrecognized option '--nonsense'"),
    ):
        done = run("run", *options)

        assert done.returncode == 2
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
