"""Two data sets with the same three pairs: a folder of photos, and PIDM's LMDB with its folder of poses."""

import json
from io import BytesIO
from pathlib import Path

import lmdb
import numpy as np
from PIL import Image

from xmdpt.preprocess import to_photo

ROOT = Path(__file__).resolve().parents[2]
PERSON = ROOT / "examples" / "person.png"
NAMES = tuple(f"img/WOMEN/Tops/id_{number}/01_1_front" for number in range(3))
PAIRS = (
    f"{NAMES[0]}.jpg,{NAMES[1]}.jpg,{NAMES[2]}.jpg\n{NAMES[1]}.jpg,{NAMES[0]}.jpg\n\n{NAMES[2]}.jpg,{NAMES[0]}.jpg\n"
)


def photos() -> list[Image.Image]:
    """Three photos of different sizes."""
    person = Image.open(PERSON).convert("RGB")
    width, height = person.size
    return [person.crop((9 * i, 5 * i, width - 20 * i, height)) for i in range(3)]


def poses() -> list[list[tuple[int, int]]]:
    """The bundled pose in DeepFashion's frame, a little different each time; one point is missing."""
    points = json.loads((ROOT / "examples" / "pose.json").read_text())["keypoints"]
    placed = [[(round(40 + x * 176 / 256) + 3 * i, round(y)) for x, y in points] for i in range(3)]
    for pose in placed:
        pose[17] = (-1, -1)
    return placed


def write_folder(root: Path) -> Path:
    """Photos as files, key points as JSON lines and as CSV, pairs."""
    lines, table = [], ["name:keypoints_y:keypoints_x"]
    for name, photo, pose in zip(NAMES, photos(), poses(), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(root / f"{name}.png")
        key_points = [None if point == (-1, -1) else point for point in pose]
        lines.append(
            json.dumps({"name": f"{name}.jpg", "keypoints": key_points, "size": [176, 256], "origin": [40, 0]})
        )
        table.append(f"{name}.jpg:{[y for _, y in pose]}:{[x for x, _ in pose]}")
    (root / "poses.jsonl").write_text("\n".join(lines) + "\n")
    (root / "poses.csv").write_text("\n".join(table) + "\n")
    (root / "test_pairs.txt").write_text(PAIRS)
    return root


def write_lmdb(root: Path) -> Path:
    """The same as PIDM prepares it."""
    with (
        lmdb.open(str(root / "256-256"), map_size=1 << 24) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"length", b"00003")
        for name, photo, pose in zip(NAMES, photos(), poses(), strict=True):
            transaction.put(f"{name}.png".encode(), png(to_photo(photo)))
            text_file = root / "pose" / f"{name.removeprefix('img/')}.txt"
            text_file.parent.mkdir(parents=True)
            text_file.write_text("".join(f"{x} {y}\n" for x, y in pose))
    (root / "test_pairs.txt").write_text(PAIRS)
    return root


def png(picture: np.ndarray) -> bytes:
    """A picture as a PNG file."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()
