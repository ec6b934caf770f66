"""When the embedded server can't be started: one line says why, and nothing is left behind."""

import threading
from pathlib import Path

import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from service.domain.errors import StorageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def test_start_when_not_in_the_main_thread_then_refused_before_anything_is_touched(folder: Path) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        try:
            EmbeddedValkey(folder).start()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join(20)

    assert "main thread" in str(errors)
    assert not folder.exists()


def test_start_when_the_folder_can_not_be_used_then_a_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="could not be started in") as error:
        EmbeddedValkey(tmp_path / "file" / "queue").start()

    assert "\n" not in error.value.detail


def test_start_when_the_log_of_writes_is_damaged_then_the_servers_last_words_are_told(
    folder: Path,
) -> None:
    server = EmbeddedValkey(folder)
    server.start()
    server.stop()
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"this was never a log of writes\n" * 10)

    with pytest.raises(StorageError, match=r"did not start, it ended with status 1: .*(format|AOF|append)") as error:
        server.start()

    assert "\n" not in error.value.detail
    assert not server.is_running
