"""What is made once a run of the tests, however many processes run them; not to be written to by who uses it."""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_VARIABLE = "TEST_RUN_FOLDER"


def run_folder() -> Path:
    """The run's folder: made by the first process that asks, handed on to those that it starts, and removed by it."""
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="xmdpt-tests-")
        atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)
    return Path(os.environ[_VARIABLE])


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The file or folder of that name, made by the first process that needs it; the others wait.

    Args:
        name: unique in the run.
        make: makes it at the path that it is given, which does not exist.
    """
    made = run_folder() / name
    with made.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=run_folder()) as folder:
                make(Path(folder) / name)
                (Path(folder) / name).rename(made)
    return made
