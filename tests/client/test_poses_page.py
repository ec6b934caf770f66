"""What docs/poses.md says is run as it stands, and its tables are those of the service."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from service.domain.pose_moves import DEFAULT_MARGIN
from tests.client.test_client_documents import run_in
from tests.integration.processes import ROOT, pixels

PAGE = (ROOT / "docs" / "poses.md").read_text()
ADDRESS = "http://127.0.0.1:8080"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def pictures_of(program: str) -> set[str]:
    return set(re.findall(r"-o (\w+\.png)", program))


@pytest.mark.system
def test_page_when_its_commands_are_run_then_they_make_what_they_say(url: str, tmp_path: Path) -> None:
    program = "\n".join(text for language, text in BLOCKS if language == "bash").replace(ADDRESS, url)
    name = f'xmdpt() {{ "{sys.executable}" -m xmdpt_client "$@"; }}\n'

    said = run_in(tmp_path, url, "bash", "-euo", "pipefail", "-c", name + program)

    names = pictures_of(program)
    assert len(names) == 12
    for each in names:
        assert pixels(tmp_path / each).shape == (256, 256, 3)
    assert '"keypoints":[[138.0,32.0]' in said
    assert said.count('"at":') == 8
    with Image.open(tmp_path / "turn.png") as row:
        assert row.size == (8 * 176, 512)
    assert {path.name for path in tmp_path.glob("turn-*.png")} == {f"turn-{number}.png" for number in range(8)}


def test_page_when_its_python_is_run_then_it_makes_what_it_says(url: str, tmp_path: Path) -> None:
    program = "\n".join(text for language, text in BLOCKS if language == "python").replace(ADDRESS, url)

    run_in(tmp_path, url, sys.executable, "-c", program)

    made = {path.name for path in tmp_path.glob("*.png")} - {"photo.png"}
    assert made == {"mirrored.png", "moved_in_python.png", *(f"swing-{number}.png" for number in range(5))}


def test_page_when_compared_with_the_service_then_forms_and_moves_are_all_there() -> None:
    from service.api.pose_schemas import MOVES, PoseBody

    forms = set(re.findall(r"^\| .*? \| `\{\"(\w+)\":", PAGE, flags=re.MULTILINE))
    moves = re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)

    assert forms == PoseBody.model_fields.keys() - {"size", "origin", *MOVES}
    assert tuple(moves) == MOVES
    assert f"{DEFAULT_MARGIN} for `true`" in PAGE
