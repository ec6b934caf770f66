"""`xmdpt batch` as real processes: what is read, what is written where, how it ends and goes on."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.client.parts import JOB_ID, PHOTO, POSE, clean_environment, command, xmdpt
from tests.client.test_client_batches import BATCH_ID, a_batch, a_line, a_stream
from tests.client.test_xmdpt_command import error_line, files_in, on_a_terminal, read_until
from tests.fakes.scripted_http import an_answer, scripted_server
from tests.integration.processes import ROOT, pixels
from xmdpt_client import Client

LONG = "b.1" + "x" * 61


def items_file(folder: Path, *items: dict | str) -> Path:
    """A file of items beside a photo and a pose."""
    folder.mkdir(exist_ok=True)
    (folder / "photo.png").write_bytes(PHOTO.read_bytes())
    (folder / "pose.json").write_bytes(POSE.read_bytes())
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "items.jsonl"


def an_item(name: str, **fields: object) -> dict:
    return {"custom_id": name, "source": "photo.png", "pose": "pose.json", "steps": 2} | fields


def lines_in(out: Path) -> dict[str, dict]:
    return {line["custom_id"]: line for line in map(json.loads, (out / "results.jsonl").read_text().splitlines())}


def test_batch_when_given_a_file_then_its_pictures_lie_in_the_folder(url: str, tmp_path: Path) -> None:
    items = items_file(tmp_path / "in", an_item("a"), "", an_item(LONG, pose={"preset": "walking"}))
    out = tmp_path / "out"

    done = xmdpt("batch", items, "-o", out, "--format", "jpeg", "--seed", 3, XMDPT_URL=url)

    assert (done.returncode, done.stdout) == (0, b"")
    batch_id = re.match(rb"(bat_\w+): 2 items\n", done.stderr)[1].decode()  # type: ignore[index]
    assert done.stderr.decode().endswith(f"{out}: 2 of 2 items have their pictures ({batch_id})\n")
    assert files_in(out) == ["a.jpg", f"{LONG}.jpg", "results.jsonl"]
    lines = lines_in(out)
    assert {name: line["files"] for name, line in lines.items()} == {"a": ["a.jpg"], LONG: [f"{LONG}.jpg"]}
    assert lines["a"]["outputs"][0]["seed"] == 3
    assert pixels(out / "a.jpg").shape == (256, 256, 3)


def test_batch_when_given_sources_and_poses_then_each_pair_is_made(url: str, tmp_path: Path) -> None:
    poses = ["--poses", "walking", POSE]
    done = xmdpt(
        "batch", "--sources", PHOTO, *poses, "-o", tmp_path / "out", "--steps", 2, "--json", "--quiet", XMDPT_URL=url
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["request_counts"]["succeeded"] == 2
    assert files_in(tmp_path / "out") == ["results.jsonl", "s0-p0.png", "s0-p1.png"]
    listed = xmdpt("jobs", "list", "--batch", json.loads(done.stdout)["id"], XMDPT_URL=url).stdout.decode().splitlines()
    assert sorted(line.split(", ")[0] for line in listed) == ["s0-p0", "s0-p1"]


def test_batch_when_several_pictures_are_asked_for_then_each_item_has_them(url: str, tmp_path: Path) -> None:
    items, out = items_file(tmp_path / "in", an_item("two"), an_item("three", num_images=3)), tmp_path / "out"

    done = xmdpt("batch", items, "-o", out, "--num-images", 2, XMDPT_URL=url)

    assert done.returncode == 0
    names = {name: line["files"] for name, line in lines_in(out).items()}
    assert names == {"two": ["two-0.png", "two-1.png"], "three": ["three-0.png", "three-1.png", "three-2.png"]}
    assert len({(out / name).read_bytes() for files in names.values() for name in files}) == 5


def test_batch_when_an_item_fails_then_the_others_are_made_and_the_status_tells(url: str, tmp_path: Path) -> None:
    items = items_file(tmp_path / "in", an_item("good"), an_item("bad", steps=1))

    done = xmdpt("batch", items, "-o", tmp_path / "out", XMDPT_URL=url)

    assert done.returncode == 1
    assert b"1 items have no picture" in done.stderr
    assert files_in(tmp_path / "out") == ["good.png", "results.jsonl"]
    assert lines_in(tmp_path / "out")["bad"]["error"]["errors"][0]["pointer"] == "/steps"


def test_batch_when_it_is_left_then_another_call_fetches_only_what_is_missing(url: str, tmp_path: Path) -> None:
    items, out = items_file(tmp_path / "in", an_item("a"), an_item("b"), an_item("c")), tmp_path / "out"

    left = xmdpt("batch", items, "-o", out, "--detach", XMDPT_URL=url)
    batch_id = left.stdout.decode().strip()
    first = xmdpt("batch", "--resume", batch_id, "-o", out, XMDPT_URL=url)
    kept = (out / "a.png").stat().st_mtime_ns
    (out / "b.png").unlink()
    (out / "c.png").write_bytes(b"damaged")
    again = xmdpt("batch", "--resume", batch_id, "-o", out, XMDPT_URL=url)

    assert [done.returncode for done in (left, first, again)] == [0, 0, 0]
    assert files_in(out) == ["a.png", "b.png", "c.png", "results.jsonl"]
    assert (out / "a.png").stat().st_mtime_ns == kept
    assert pixels(out / "c.png").shape == (256, 256, 3)
    assert len(lines_in(out)) == 3


def test_batch_when_interrupted_then_it_is_cancelled_and_what_was_made_stays(url: str, tmp_path: Path) -> None:
    # A shell that starts the tests in the background has them ignore it, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow = [an_item(f"slow-{number}", steps=250) for number in range(12)]
    items, out = items_file(tmp_path / "in", an_item("quick"), *slow), tmp_path / "out"
    with subprocess.Popen(
        command("batch", items, "-o", out),
        cwd=ROOT,
        env=clean_environment() | {"XMDPT_URL": url},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        batch_id = process.stderr.readline().decode().split(":")[0]  # type: ignore[union-attr]
        with Client(url) as client:
            next(client.batch_results(batch_id))
            process.send_signal(signal.SIGINT)
            said = process.stderr.read().decode()  # type: ignore[union-attr]
            statuses = {result.status for result in client.batch_results(batch_id)}

    assert process.returncode == 130
    assert re.fullmatch(rf"xmdpt: interrupted; {batch_id} is cancel\w+\n", said)
    assert statuses <= {"succeeded", "cancelled"}
    assert "cancelled" in statuses


def test_batch_when_on_a_terminal_then_a_bar_moves(url: str, tmp_path: Path) -> None:
    items = items_file(tmp_path / "in", *[an_item(str(number), steps=20) for number in range(3)])

    with on_a_terminal(url, "batch", items, "-o", tmp_path / "out") as process:
        shown = read_until(process).decode()

    assert process.returncode == 0
    assert "uploading: " in shown
    assert "making: " in shown
    assert "/3 " in shown


@pytest.mark.parametrize("custom_id", ["../evil", "/tmp/evil", ".hidden", "a\u0000b", "x" * 65, ""])
def test_batch_when_the_service_names_a_bad_file_then_none_is_written(tmp_path: Path, custom_id: str) -> None:
    script = [a_batch(1), a_batch(1), a_stream(a_line(1, custom_id=custom_id)), a_batch(1)]
    with scripted_server(script) as server:
        done = xmdpt("batch", "--resume", BATCH_ID, "-o", tmp_path / "out", XMDPT_URL=server.url)

    assert done.returncode == 1
    assert files_in(tmp_path) == ["out"]
    assert files_in(tmp_path / "out") == ["results.jsonl"]


def test_batch_when_items_have_several_pictures_then_all_are_written_and_none_over_another(tmp_path: Path) -> None:
    outputs = [{"index": i, "content_type": "image/webp", "sha256": "cd" * 32, "bytes": 7, "seed": i} for i in (0, 1)]
    lines = [a_line(1, custom_id="a", outputs=outputs), a_line(2, custom_id="a-1", outputs=outputs[:1])]
    pictures = [an_answer(200, f"picture {number}".encode(), "image/webp") for number in range(3)]
    with scripted_server([a_batch(2), a_batch(2), a_stream(*lines), *pictures, a_batch(2)]) as server:
        done = xmdpt("batch", "--resume", BATCH_ID, "-o", tmp_path / "out", XMDPT_URL=server.url)

    assert done.returncode == 0
    assert server.starts()[3:6] == [f"GET /v1/jobs/{JOB_ID}/result{query}" for query in ("", "?index=1", "")]
    written = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.webp")}
    assert written == {"a-0.webp": "picture 0", "a-1.webp": "picture 1", f"a-1.{JOB_ID}.webp": "picture 2"}


def test_batch_when_a_picture_cannot_be_had_then_its_line_says_why(tmp_path: Path) -> None:
    problem = json.dumps({"detail": "gone", "code": "expired", "retryable": False}).encode()
    script = [
        a_batch(1),
        a_batch(1),
        a_stream(a_line(1)),
        an_answer(410, problem, "application/problem+json"),
        a_batch(1),
    ]
    with scripted_server(script) as server:
        done = xmdpt("batch", "--resume", BATCH_ID, "-o", tmp_path / "out", XMDPT_URL=server.url)

    assert done.returncode == 1
    assert lines_in(tmp_path / "out")["item-1"]["missing"] == "gone (expired)"


@pytest.mark.parametrize(
    ("items", "word"),
    [
        (["{broken"], "items.jsonl:1: no JSON"),
        ([an_item("a"), "[1]"], "items.jsonl:2: must be a JSON object"),
        ([an_item("a", source="absent.png")], "absent.png: no such file"),
        ([an_item("a", pose="items.jsonl"), an_item("b")], "/items/0/pose is no JSON"),
    ],
)
def test_batch_when_the_file_cannot_be_used_then_it_says_where(
    url: str, tmp_path: Path, items: list, word: str
) -> None:
    done = xmdpt("batch", items_file(tmp_path, *items), "-o", tmp_path / "out", XMDPT_URL=url)

    assert done.returncode == 2
    assert word in error_line(done)


def test_batch_when_the_folder_holds_something_then_only_force_writes_into_it(url: str, tmp_path: Path) -> None:
    items = items_file(tmp_path, an_item("photo"))

    refused = xmdpt("batch", items, "-o", tmp_path, XMDPT_URL="http://127.0.0.1:9")
    kept = (tmp_path / "photo.png").read_bytes()
    forced = xmdpt("batch", items, "-o", tmp_path, "--force", XMDPT_URL=url)

    assert (refused.returncode, kept) == (2, PHOTO.read_bytes())
    assert "--force" in error_line(refused)
    assert (forced.returncode, (tmp_path / "photo.png").read_bytes() == kept) == (0, False)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["items.jsonl", "--sources", PHOTO, "--poses", POSE],
        ["items.jsonl", "--resume", BATCH_ID],
        ["--sources", PHOTO],
        ["--resume", BATCH_ID, "--detach"],
    ],
    ids=["nothing", "two ways", "two ways again", "half a matrix", "contradiction"],
)
def test_batch_when_it_is_unclear_which_then_it_is_refused(tmp_path: Path, arguments: list[object]) -> None:
    done = xmdpt("batch", *arguments, "-o", tmp_path / "out", XMDPT_URL="http://127.0.0.1:9")

    assert (done.returncode, os.path.exists(tmp_path / "out")) == (2, False)


def test_batch_when_a_picture_cannot_be_written_then_it_says_how_to_go_on(url: str, tmp_path: Path) -> None:
    with Client(url) as client:
        batch = client.batch([{"source": PHOTO, "pose": POSE, "custom_id": "a", "steps": 2}])
    (tmp_path / "a.png").mkdir()

    done = xmdpt("batch", "--resume", batch.id, "-o", tmp_path, XMDPT_URL=url)

    assert done.returncode == 2
    assert f"xmdpt batch --resume {batch.id} -o {tmp_path}" in error_line(done)
    assert files_in(tmp_path) == ["a.png", "results.jsonl"]
    assert httpx.get(f"{url}/v1/batches/{batch.id}").json()["status"] == "completed"
