"""The server of `xmdpt-serve all`: safe settings, one a folder, gone with its parent, its data still there."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.redis_server import check_server, connect
from service.domain.errors import StorageError

PARENT = """
import sys
from pathlib import Path
from service.adapters.embedded_valkey import EmbeddedValkey
server = EmbeddedValkey(Path(sys.argv[1]))
server.start()
print(server.pid, server.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(folder)
    server.start()
    yield server
    server.stop()


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.005)


def has_ended(pid: int) -> bool:
    """True for a zombie too: who adopts orphans may be slow to collect them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def starts(server: EmbeddedValkey) -> bool:
    """False as long as the last threads of a killed server hold the folder."""
    try:
        server.start()
    except StorageError as error:
        if "already runs" not in error.detail:
            raise
    return server.is_running


def test_server_when_started_then_it_may_be_trusted_with_jobs(server: EmbeddedValkey) -> None:
    with connect(server.url) as client:
        assert check_server(client) == ""
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("aof-load-truncated", "no-appendfsync-on-rewrite", "save") == {
            "aof-load-truncated": "yes",
            "no-appendfsync-on-rewrite": "no",
            "save": "",
        }
        assert client.config_get("maxmemory") != {"maxmemory": "0"}


def test_server_when_started_then_only_its_user_reaches_it_and_the_terminal_does_not(
    server: EmbeddedValkey, folder: Path
) -> None:
    assert server.is_running
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "valkey.pid").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(server.url.removeprefix("unix://")).stat().st_mode) == 0o700
    assert (folder / "valkey.pid").read_text() == f"{server.pid}\n"
    assert os.getpgid(server.pid) != os.getpgid(0), "Ctrl-C must not reach it"


def test_server_when_killed_then_what_was_written_is_there_after_the_next_start(
    server: EmbeddedValkey, folder: Path
) -> None:
    with connect(server.url) as client:
        for number in range(100):
            client.set(f"key {number}", number)
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not server.is_running)
    server.stop()

    until(lambda: starts(server))

    with connect(server.url) as client:
        assert client.dbsize() == 100
        assert client.get("key 99") == "99"
    server.stop()
    assert (server.is_running, server.pid) == (False, None)


def test_second_server_when_the_folder_is_taken_then_it_names_the_first_and_leaves_it_alone(
    server: EmbeddedValkey, folder: Path
) -> None:
    second = EmbeddedValkey(folder)

    with pytest.raises(StorageError) as error:
        second.start()

    assert error.value.code == "queue_unavailable"
    assert f"already runs on {folder} as process {server.pid}" in error.value.detail
    with connect(server.url) as client:
        assert client.ping()
    server.stop()
    second.start()
    assert second.is_running
    second.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_server_when_its_parent_is_killed_then_it_dies_and_the_folder_is_free_with_its_data(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pid, url = parent.stdout.readline().split()
        with connect(url) as client:
            client.set("key", "value")
        assert not has_ended(int(pid))
        parent.kill()

    until(lambda: has_ended(int(pid)))
    heir = EmbeddedValkey(folder)
    until(lambda: starts(heir))
    with connect(heir.url) as client:
        assert client.get("key") == "value"
    heir.stop()


def test_folder_when_its_path_is_too_long_for_a_socket_then_the_server_runs_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 60) / ("b" * 60)
    server = EmbeddedValkey(folder)

    server.start()

    socket = Path(server.url.removeprefix("unix://"))
    with connect(server.url) as client:
        client.set("key", "value")
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    server.stop()
    assert not socket.parent.exists(), "the short folder goes with the server"
    assert (folder / "appendonlydir").is_dir()


def test_server_when_stopped_twice_or_never_started_then_fine(folder: Path) -> None:
    server = EmbeddedValkey(folder)
    server.stop()
    server.start()
    for _ in range(2):
        server.stop()

    assert not server.is_running
