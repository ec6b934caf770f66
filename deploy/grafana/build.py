"""Writes the dashboards: `python -m deploy.grafana.build`, from the repository's root."""

import json
from collections.abc import Mapping
from pathlib import Path

from deploy.grafana.engine_board import engine
from deploy.grafana.overview_board import overview
from deploy.grafana.panels import Json
from deploy.grafana.queue_board import queue
from deploy.grafana.triton_board import triton

FOLDER = Path(__file__).with_name("dashboards")


def boards() -> Mapping[str, Json]:
    """Every dashboard by its file's name."""
    return {f"{board['uid']}.json": board for board in (overview(), engine(), queue(), triton())}


def text_of(board: Json) -> str:
    """The file's content."""
    return json.dumps(board, indent=2) + "\n"


if __name__ == "__main__":
    for name, board in boards().items():
        (FOLDER / name).write_text(text_of(board))
