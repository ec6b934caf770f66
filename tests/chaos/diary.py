"""The diaries of the workers as values; `tests.chaos.poisoned_worker` writes them."""

import json
from pathlib import Path

from tests.chaos.history import Deed


def read_diary(diary: Path) -> list[Deed]:
    """Every line of all workers, in the order in which they were written."""
    lines = [json.loads(line) for line in diary.read_text().splitlines()]
    return [Deed(line["at"], line["pid"], line["verb"], line["job"], line["fence"], line["verdict"]) for line in lines]
