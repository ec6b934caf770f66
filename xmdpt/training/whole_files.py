"""Files that are whole whenever they are there. Needs no torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name to write to; what was written there gets the name `path` at the end, unless something was raised.

    The name is of this process alone: all processes of a run open its folder at once.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    yield new
    os.replace(new, path)
