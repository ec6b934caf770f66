"""Where the pictures of a batch go: whole or not at all, into this one folder, over nothing that somebody may need."""

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from xmdpt_client.values import BatchResult

# Whatever the service answers: a name never leads out of the folder, nor is it hidden or another of ours.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class OutFolder:
    """A folder of pictures named by their items, and `results.jsonl`, a line for each item.

    Attributes:
        path: of the folder.
        results_path: of that file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.results_path = path, path / "results.jsonl"
        self._taken = set[str]()

    def open(self) -> None:
        """Make it if it is not there; OSError if that can't be."""
        self.path.mkdir(exist_ok=True)

    def open_new(self, *, force: bool) -> None:
        """Likewise; OSError too if something is in it, unless forced."""
        self.open()
        if not force and any(self.path.iterdir()):
            raise OSError(errno.ENOTEMPTY, "Folder not empty; --force writes into it", str(self.path))

    @contextlib.contextmanager
    def results(self) -> Generator[Callable[[Mapping[str, Any]], None]]:
        """What to call with each line of `results.jsonl`, which is begun anew."""
        with self.results_path.open("w", encoding="utf-8") as file:

            def note(line: Mapping[str, Any]) -> None:
                file.write(json.dumps(line) + "\n")
                file.flush()

            yield note

    def names_of(self, result: BatchResult) -> list[str]:
        """Names for an item's pictures that no other item has; ValueError if its own makes no good ones."""
        suffixes = [_SUFFIXES.get(output.content_type) for output in result.outputs]
        is_good = all(_NAME.fullmatch(name or "") for name in (result.custom_id, result.job_id))
        if not (is_good and suffixes and all(suffixes)):
            raise ValueError("the service names no picture that a file could hold")
        numbers = [f"-{index}" for index in range(len(suffixes))] if len(suffixes) > 1 else [""]
        ends = [f"{number}.{suffix}" for number, suffix in zip(numbers, suffixes, strict=True)]
        names = [f"{result.custom_id}{end}" for end in ends]
        if not self._taken.isdisjoint(names):
            names = [f"{result.custom_id}.{result.job_id}{end}" for end in ends]
        self._taken.update(names)
        return names

    def holds(self, name: str, sha256: str) -> bool:
        """Whether this very picture is there already."""
        path = self.path / name
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256

    def write(self, name: str, content: bytes) -> None:
        """Write a picture, whole or not at all; OSError if it can't be written."""
        path, part = self.path / name, self.path / f".{name}.part"
        try:
            part.write_bytes(content)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
