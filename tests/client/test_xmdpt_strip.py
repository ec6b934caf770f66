"""`xmdpt strip` as real processes, and moved poses of `xmdpt generate`."""

import json
import re
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.domain.pose_moves import Moves, moved
from tests.api.bad_poses import OPENPOSE
from tests.client.parts import JOB_ID, PHOTO, POSE, clean_environment, command, xmdpt
from tests.client.test_client_batches import BATCH_ID, a_batch, a_line, a_stream
from tests.client.test_client_generate import skeleton_file
from tests.client.test_client_strips import OF_FILE, OF_WALKING, expected_of
from tests.client.test_xmdpt_command import error_line, files_in, on_a_terminal, read_until
from tests.fakes.scripted_http import an_answer, scripted_server
from tests.integration.processes import ROOT, free_port, pixels
from xmdpt_client import Client

WALK = ["strip", PHOTO, "--from", "standing", "--to", "walking", "--steps", 2]


def test_strip_when_made_then_its_pictures_and_a_row_of_them_are_written(url: str, tmp_path: Path) -> None:
    out = tmp_path / "walk.png"

    done = xmdpt(*WALK, "--count", 3, "--seed", 4, "-o", out, "--with-poses", XMDPT_URL=url)

    assert (done.returncode, done.stdout) == (0, b"")
    assert re.fullmatch(rb"bat_[0-9a-f]{32}: 3 pictures\n", done.stderr)
    assert files_in(tmp_path) == ["walk-0.png", "walk-1.png", "walk-2.png", "walk.png"]
    with Image.open(PHOTO) as photo:
        width = round(256 * photo.width / photo.height)
    row = pixels(out)
    assert row.shape == (512, 3 * width, 3)
    for number in range(3):
        columns = slice(number * width, (number + 1) * width)
        assert (row[:256, columns] == pixels(tmp_path / f"walk-{number}.png")).all()
        # The pose below is a person of some size in the middle of black.
        drawn = np.argwhere(row[256:, columns].max(axis=2) > 64)
        assert (drawn.max(axis=0) - drawn.min(axis=0) > (150, 40)).all()
        assert len(drawn) < 0.2 * 256 * width
    assert not (row[256:, :width] == row[256:, 2 * width :]).all()


@pytest.mark.parametrize(("name", "magic"), [("a.jpg", b"\xff\xd8"), ("a.webp", b"RIFF"), ("a", b"\x89PNG")])
def test_strip_when_the_name_tells_a_format_then_all_files_have_it(
    url: str, tmp_path: Path, name: str, magic: bytes
) -> None:
    done = xmdpt(*WALK, "--count", 2, "-o", tmp_path / name, "--quiet", XMDPT_URL=url)

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(files_in(tmp_path)) == 3
    assert {path.read_bytes()[: len(magic)] for path in tmp_path.iterdir()} == {magic}
    assert pixels(tmp_path / name).shape[0] == 256


def test_strip_when_told_so_then_the_services_own_json_is_printed(url: str, tmp_path: Path) -> None:
    done = xmdpt(*WALK, "--count", 2, "-o", tmp_path / "a.png", "--json", XMDPT_URL=url)

    assert json.loads(done.stdout)["request_counts"]["succeeded"] == 2


def test_strip_when_on_a_terminal_then_a_bar_moves(url: str, tmp_path: Path) -> None:
    arguments = ["strip", PHOTO, "--from", POSE, "--to", "walking", "--steps", 20, "--count", 3]
    with on_a_terminal(url, *arguments, "-o", tmp_path / "a.png") as process:
        shown = read_until(process).decode()

    assert process.returncode == 0
    assert "making: " in shown
    assert "/3 " in shown


def test_strip_when_interrupted_then_its_batch_is_cancelled(url: str, tmp_path: Path) -> None:
    # A shell that starts the tests in the background has them ignore it, and so would the command.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    long = ["strip", PHOTO, "--from", "standing", "--to", "walking", "--steps", 250, "--count", 40]
    with subprocess.Popen(
        command(*long, "-o", tmp_path / "a.png"),
        cwd=ROOT,
        env=clean_environment() | {"XMDPT_URL": url},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        batch_id = process.stderr.readline().decode().split(":")[0]  # type: ignore[union-attr]
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()  # type: ignore[union-attr]
        with Client(url) as client:
            statuses = {result.status for result in client.batch_results(batch_id)}

    assert process.returncode == 130
    assert re.fullmatch(rf"xmdpt: interrupted; {batch_id} is cancel\w+\n", said)
    assert "cancelled" in statuses
    assert files_in(tmp_path) == []


def test_strip_when_a_picture_is_missing_then_the_others_are_written_and_it_says_so(tmp_path: Path) -> None:
    pose = {"keypoints": [None] * 18, "size": [1, 1], "origin": [0, 0], "at": 0}
    poses = an_answer(200, json.dumps({"object": "list", "data": [pose, pose]}).encode())
    source = an_answer(201, json.dumps({"id": "src_1", "object": "source", "vector": "pending"}).encode())
    lines = [a_line(1, custom_id="s0-p1"), a_line(2, custom_id="s0-p0", status="cancelled", outputs=[])]
    picture = an_answer(200, b"picture", "image/png")
    with scripted_server([poses, source, a_batch(2), a_batch(2), a_stream(*lines), picture]) as server:
        done = xmdpt(*WALK, "--count", 2, "-o", tmp_path / "a.png", XMDPT_URL=server.url)

    assert done.returncode == 1
    assert f"1 of 2 pictures are missing: `xmdpt jobs list --batch {BATCH_ID}`" in done.stderr.decode()
    assert server.starts()[-1] == f"GET /v1/jobs/{JOB_ID}/result"
    assert files_in(tmp_path) == ["a-1.png"]


@pytest.mark.parametrize("taken", ["a.png", "a-1.png"])
def test_strip_when_a_file_exists_then_nothing_is_sent_unless_forced(url: str, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"precious")
    nobody = f"http://127.0.0.1:{free_port()}"

    refused = xmdpt(*WALK, "--count", 2, "-o", tmp_path / "a.png", XMDPT_URL=nobody)
    kept = (tmp_path / taken).read_bytes()
    forced = xmdpt(*WALK, "--count", 2, "-o", tmp_path / "a.png", "--force", XMDPT_URL=url)

    assert (refused.returncode, kept, forced.returncode) == (2, b"precious", 0)
    assert "--force" in error_line(refused)


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (["--count", 1], 3, "/count"),
        (["--count", 1_000_000_000], 3, "/count"),
        (["--count", "many"], 2, "--count"),
        (["--to", "flying"], 3, "/to/preset"),
        (["--to", "No-Such-File.json"], 2, "No-Such-File.json"),
        (["-o", "-"], 2, "one picture"),
    ],
)
def test_strip_when_an_argument_is_no_good_then_it_says_which(
    url: str, tmp_path: Path, arguments: list[object], status: int, word: str
) -> None:
    out = [] if "-o" in arguments else ["-o", tmp_path / "a.png"]

    done = xmdpt(*WALK, *out, *arguments, XMDPT_URL=url)

    assert done.returncode == status
    assert word in done.stderr.decode().splitlines()[-1]
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--pose", "walking"], OF_WALKING),
        (["--pose", "walking", "--mirror"], moved(OF_WALKING, Moves(is_mirrored=True))),
        (["--pose", POSE, "--mirror", "--fit"], moved(OF_FILE, Moves(is_mirrored=True, margin=0.05))),
    ],
    ids=["preset", "mirror", "mirror and fit"],
)
def test_generate_when_the_pose_is_named_or_moved_then_it_is_that_pose(
    url: str, tmp_path: Path, arguments: list[object], expected: object
) -> None:
    done = xmdpt("generate", PHOTO, *arguments, "-o", tmp_path / "a.png", "--steps", 3, "--seed", 5, XMDPT_URL=url)

    assert done.returncode == 0, done.stderr
    assert (pixels(tmp_path / "a.png") == expected_of(expected, num_steps=3, seed=5)).all()  # type: ignore[arg-type]


def test_generate_when_the_pose_is_what_openpose_writes_then_it_is_taken(url: str, tmp_path: Path) -> None:
    (tmp_path / "openpose.json").write_text(json.dumps(OPENPOSE))

    done = xmdpt("generate", PHOTO, "--pose", tmp_path / "openpose.json", "-o", tmp_path / "a.png", XMDPT_URL=url)

    assert done.returncode == 0, done.stderr


def test_generate_when_the_pose_is_of_a_photo_then_its_person_is_found(url: str, tmp_path: Path) -> None:
    out = tmp_path / "a.png"

    done = xmdpt("generate", PHOTO, "--pose-of", PHOTO, "--mirror", "--crop", "-o", out, "--steps", 3, XMDPT_URL=url)

    assert done.returncode == 0, done.stderr
    assert out.is_file()


def test_generate_when_a_picture_is_to_be_mirrored_then_it_says_that_it_needs_key_points(tmp_path: Path) -> None:
    (tmp_path / "pose.png").write_bytes(skeleton_file())

    done = xmdpt("generate", PHOTO, "--pose", tmp_path / "pose.png", "--mirror", "-o", tmp_path / "a.png",
                 XMDPT_URL="http://127.0.0.1:9")  # fmt: skip

    assert done.returncode == 2
    assert "pose.png: the pose must be given by key points" in error_line(done)
