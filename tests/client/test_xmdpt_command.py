"""The command `xmdpt` as real processes, against the whole service."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import httpx
import pytest

from tests.client.parts import JOB_ID, PHOTO, POSE, clean_environment, command, job_answer, xmdpt
from tests.fakes.scripted_http import a_problem, an_answer, scripted_server
from tests.integration.processes import ROOT, free_port, pixels
from xmdpt_client import Client


def generate(url: str, out: object, *more: object) -> subprocess.CompletedProcess[bytes]:
    return xmdpt("generate", PHOTO, "--pose", POSE, "-o", out, "--steps", 3, "--seed", 5, *more, XMDPT_URL=url)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def error_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a failed command says: one line on standard error, nothing else."""
    assert done.stdout == b"", done
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("xmdpt: ")
    return line


@pytest.fixture(scope="module")
def picture(url: str) -> bytes:
    with Client(url) as client:
        return client.generate(PHOTO, POSE, steps=3, seed=5).content


def test_generate_when_on_pipes_then_it_writes_the_picture_and_not_a_word(
    url: str, picture: bytes, tmp_path: Path
) -> None:
    done = generate(url, tmp_path / "out.png")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "out.png").read_bytes() == picture


def test_generate_when_out_is_a_dash_then_the_picture_goes_to_standard_output(url: str, picture: bytes) -> None:
    done = generate(url, "-")

    assert (done.returncode, done.stdout, done.stderr) == (0, picture, b"")


def test_generate_when_several_are_asked_for_then_each_goes_to_a_file_of_its_own(
    url: str, picture: bytes, tmp_path: Path
) -> None:
    done = generate(url, tmp_path / "out.png", "--num-images", 3, "--json")
    again = xmdpt("jobs", "result", json.loads(done.stdout)["id"], "-o", tmp_path / "again.png", XMDPT_URL=url)

    assert (done.returncode, again.returncode, again.stdout) == (0, 0, b"")
    assert files_in(tmp_path) == [*(f"again-{i}.png" for i in range(3)), *(f"out-{i}.png" for i in range(3))]
    contents = [(tmp_path / f"out-{index}.png").read_bytes() for index in range(3)]
    assert contents[0] == picture
    assert len(set(contents)) == 3
    assert contents == [(tmp_path / f"again-{index}.png").read_bytes() for index in range(3)]


def test_generate_when_several_cannot_all_be_written_then_nothing_is_sent(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "out-1.png").write_bytes(b"precious")

    over_a_file = generate(nobody, tmp_path / "out.png", "--num-images", 2)
    to_a_pipe = generate(nobody, "-", "--num-images", 2)

    assert (over_a_file.returncode, "out-1.png: File exists" in error_line(over_a_file)) == (2, True)
    assert (to_a_pipe.returncode, "takes one picture" in error_line(to_a_pipe)) == (2, True)


def test_generate_when_the_file_exists_then_only_force_writes_over_it(url: str, picture: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")

    # Refused before anything is sent: nobody listens there.
    refused = generate(f"http://127.0.0.1:{free_port()}", out)
    kept = out.read_bytes()
    forced = generate(url, out, "--force")

    assert (refused.returncode, kept) == (2, b"precious")
    assert "--force" in error_line(refused)
    assert (forced.returncode, out.read_bytes()) == (0, picture)


def test_generate_when_the_picture_cannot_be_written_then_it_says_how_to_fetch_it(url: str) -> None:
    done = generate(url, "/dev/full", "--force")

    line = error_line(done)
    assert (done.returncode, "/dev/full: No space left" in line) == (2, True)
    job_id = line.split("xmdpt jobs result ")[1].split("`")[0]
    assert xmdpt("jobs", "result", job_id, "-o", "-", XMDPT_URL=url).returncode == 0


def test_generate_when_the_name_tells_a_format_then_it_is_that_format(url: str, tmp_path: Path) -> None:
    done = generate(url, tmp_path / "out.jpg", "--quality", 30, "--json")

    document = json.loads(done.stdout)
    assert (document["status"], document["request"]["format"], document["request"]["seed"]) == ("succeeded", "jpeg", 5)
    assert (tmp_path / "out.jpg").read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["absent.png", "--pose", POSE, "-o", "x.png"], "absent.png"),
        ([PHOTO, "--pose", "absent.json", "-o", "x.png"], "absent.json"),
        ([PHOTO, "--pose", POSE, "-o", "absent/x.png"], "absent: No such folder"),
        ([PHOTO, "--pose", POSE, "-o", "docs", "--force"], "docs"),
        ([PHOTO, "--pose", POSE, "-o", "x.png", "--url", "localhost"], "http://"),
        ([PHOTO, "--pose", POSE, "-o", "x.png", "--key", "two words"], "api_key"),
    ],
)
def test_generate_when_an_argument_cannot_be_used_then_it_says_which(
    url: str, arguments: list[object], word: str
) -> None:
    done = xmdpt("generate", *arguments, XMDPT_URL=url)

    assert done.returncode == 2
    assert word in error_line(done)
    assert not (ROOT / "x.png").exists()


def test_generate_when_the_service_refuses_then_it_says_what_to_correct(url: str, tmp_path: Path) -> None:
    done = generate(url, tmp_path / "out.png", "--guidance", 99)

    line = error_line(done)
    assert done.returncode == 3
    assert "/guidance must be less than or equal to 10" in line
    assert "request " in line
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        (a_problem(503, "overloaded", retryable=True, headers={"Retry_After": "99"}), 5, "try again in 99 s"),
        (a_problem(401, "unauthenticated"), 3, "XMDPT_API_KEY"),
        (a_problem(404, "not_found"), 3, "check the id"),
        (a_problem(500, "internal_error", headers={"X_Request_Id": "abc"}), 1, "request abc"),
        (an_answer(200, b"<html>\n", "text/html"), 1, "check the address"),
    ],
    ids=["overloaded", "key", "id", "fault", "stranger"],
)
def test_jobs_when_a_call_fails_then_line_and_status_say_what_to_do(answer: bytes, status: int, word: str) -> None:
    with scripted_server([answer]) as server:
        done = xmdpt("jobs", "show", JOB_ID, XMDPT_URL=server.url)

    assert done.returncode == status
    assert word in error_line(done)


def test_models_when_nobody_listens_then_it_says_how_to_find_the_service() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    done = xmdpt("models", "--url", url, XMDPT_URL="http://unused")

    line = error_line(done)
    assert done.returncode == 5
    assert url in line
    assert "xmdpt-serve all" in line


def test_jobs_when_a_key_is_in_the_environment_then_it_is_sent() -> None:
    with scripted_server([job_answer()]) as server:
        xmdpt("jobs", "show", JOB_ID, XMDPT_URL=server.url, XMDPT_API_KEY="xmdpt_key")

    assert server.header(0, "Authorization") == "Bearer xmdpt_key"


def test_jobs_when_a_job_runs_then_it_is_shown_waited_for_and_fetched(url: str, tmp_path: Path) -> None:
    with Client(url) as client:
        job = client.submit(PHOTO, POSE, steps=250, seed=5)

    shown = xmdpt("jobs", "show", job.id, XMDPT_URL=url)
    impatient = xmdpt("jobs", "wait", job.id, "--timeout", 0, XMDPT_URL=url)
    waited = xmdpt("jobs", "wait", job.id, "--json", XMDPT_URL=url)
    fetched = xmdpt("jobs", "result", job.id, "-o", tmp_path / "out.png", XMDPT_URL=url)

    assert shown.stdout.decode().startswith(f"{job.id}, ")
    assert impatient.returncode == 5
    assert "xmdpt jobs wait" in error_line(impatient)
    assert (waited.returncode, json.loads(waited.stdout)["status"]) == (0, "succeeded")
    assert fetched.returncode == 0
    assert pixels(tmp_path / "out.png").shape == (256, 256, 3)


def test_jobs_when_a_job_is_cancelled_then_it_has_no_picture(url: str) -> None:
    with Client(url) as client:
        job = client.submit(PHOTO, POSE, steps=250)

    cancelled = xmdpt("jobs", "cancel", job.id, XMDPT_URL=url)
    waited = xmdpt("jobs", "wait", job.id, XMDPT_URL=url)
    fetched = xmdpt("jobs", "result", job.id, "-o", "-", XMDPT_URL=url)

    assert (cancelled.returncode, b"cancel" in cancelled.stdout) == (0, True)
    assert (waited.returncode, b", cancelled, " in waited.stdout) == (4, True)
    assert fetched.returncode == 4
    assert job.id in error_line(fetched)


def test_models_when_asked_for_then_people_and_machines_are_told(url: str) -> None:
    page = xmdpt("models", XMDPT_URL=url).stdout.decode()
    documents = json.loads(xmdpt("models", "--json", XMDPT_URL=url).stdout)

    assert page.startswith("tiny, 256 x 256 px, untrained")
    assert "steps     2 to 250 (50)" in page
    assert documents == httpx.get(f"{url}/v1/models").json()["data"]


GENERATE = ("generate", PHOTO, "--pose", POSE, "-o")


def on_a_terminal(url: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the command with its standard error on a terminal; the terminal's other end is `stderr`."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))  # a terminal without a size has no room for a bar
    environment = clean_environment() | {"XMDPT_URL": url}
    process = subprocess.Popen(
        command(*arguments), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    process.stderr = os.fdopen(ours, "rb", buffering=0)
    return process


def read_until(process: subprocess.Popen[bytes], word: bytes = b"never on the terminal") -> bytes:
    """What the terminal has shown once the word is there, or the command has ended."""
    shown = b""
    while word not in shown:
        try:
            chunk = process.stderr.read(1000)  # type: ignore[union-attr]
        except OSError:  # how a terminal says that nobody writes to it any more
            break
        if not chunk:
            break
        shown += chunk
    return shown


def test_generate_when_on_a_terminal_then_a_bar_moves_and_the_seed_is_told(url: str, tmp_path: Path) -> None:
    with on_a_terminal(url, *GENERATE, tmp_path / "out.png", "--steps", "50", "--seed", "8") as process:
        shown = read_until(process).decode()

    assert process.returncode == 0
    assert "/50" in shown
    assert "tdnet_step" in shown
    assert f"{tmp_path / 'out.png'}: seed 8, job_" in shown


def test_generate_when_told_to_be_quiet_then_a_terminal_shows_nothing(url: str, tmp_path: Path) -> None:
    with on_a_terminal(url, *GENERATE, tmp_path / "out.png", "--steps", "2", "--quiet") as process:
        shown = read_until(process)

    assert (process.returncode, shown) == (0, b"")


def test_generate_when_interrupted_then_its_job_is_cancelled(url: str, tmp_path: Path) -> None:
    # A shell that starts the tests in the background has them ignore it, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with on_a_terminal(url, *GENERATE, tmp_path / "out.png", "--steps", "250") as process:
        read_until(process, b"/250")
        process.send_signal(signal.SIGINT)
        said = read_until(process).decode()

    assert process.returncode == 130
    job_id = said.split("interrupted; ")[1].split()[0]
    with Client(url) as client:
        assert client.wait(job_id).status == "cancelled"
    assert files_in(tmp_path) == []


def test_command_when_asked_for_help_then_every_exit_status_is_explained() -> None:
    for arguments in ([], ["generate"], ["jobs", "wait"]):
        text = xmdpt(*arguments, "--help").stdout.decode()

        for status in ("0", "1", "2", "3", "4", "5", "130"):
            assert f"\n  {status}  " in text
        assert "XMDPT_API_KEY" in text


def test_command_when_both_outputs_are_the_same_then_it_is_refused(url: str) -> None:
    done = generate(url, "-", "--json")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--json" in done.stderr


def test_package_when_httpx_is_not_installed_then_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['httpx'] = None; import xmdpt_client"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stderr.splitlines()[-1] == "ImportError: xmdpt_client needs httpx: pip install 'xmdpt-serve[client]'"
