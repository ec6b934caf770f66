"""What docs/client.md and the example say is run as it stands."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.client.parts import PHOTO, POSE, clean_environment
from tests.integration.processes import EXAMPLES, ROOT, pixels

PAGE = (ROOT / "docs" / "client.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def run_in(folder: Path, url: str, *program: str) -> str:
    """Run a program beside a photo and a pose; what it has printed."""
    shutil.copy(PHOTO, folder / "photo.png")
    shutil.copy(POSE, folder / "pose.json")
    environment = clean_environment() | {"PYTHONPATH": str(ROOT), "XMDPT_URL": url}
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_page_when_its_python_is_run_then_it_does_what_it_says(url: str, tmp_path: Path) -> None:
    # One program, as a reader types it; the address that is left out is the documented one.
    program = "\n".join(blocks("python")).replace("Client()", f'Client("{ADDRESS}")').replace(ADDRESS, url)

    said = run_in(tmp_path, url, sys.executable, "-c", program)

    assert said.startswith("image/png 7 job_")
    assert {pixels(tmp_path / f"{number}.png").shape for number in range(4)} == {(256, 256, 3)}
    assert "succeeded 50/50" in said
    assert said.endswith("/steps must be greater than or equal to 2\n")
    assert pixels(tmp_path / "picture.png").shape == (256, 256, 3)


def test_page_when_its_commands_are_run_then_they_do_what_they_say(url: str, tmp_path: Path) -> None:
    names = f'xmdpt() {{ "{sys.executable}" -m xmdpt_client "$@"; }}; python() {{ "{sys.executable}" "$@"; }}\n'

    said = run_in(tmp_path, url, "bash", "-euo", "pipefail", "-c", names + "\n".join(blocks("bash")))

    # One job shown, waited for, and too late to be cancelled; and those of a batch.
    assert said.count("succeeded") == 3 + 2
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"mine.png", "walking.png", "results.jsonl"}
    assert {path.name for path in (tmp_path / "more").iterdir()} == {"s0-p0.png", "s0-p1.png", "results.jsonl"}
    assert (tmp_path / "out.jpg").read_bytes() == (tmp_path / "again.jpg").read_bytes()


def test_page_when_compared_with_help_then_exit_statuses_are_the_same() -> None:
    from xmdpt_client.command.arguments import parser

    page = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, flags=re.MULTILINE)

    assert page == re.findall(r"^  (\d+)  (.*)$", parser().format_help(), flags=re.MULTILINE)


def test_page_when_compared_with_the_package_then_every_error_is_there() -> None:
    import xmdpt_client

    families = {kind.__name__ for kind in xmdpt_client.XmdptError.__subclasses__()}

    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == families
    assert families < set(xmdpt_client.__all__)


def test_example_when_run_then_it_writes_every_take(url: str, tmp_path: Path) -> None:
    said = run_in(tmp_path, url, sys.executable, str(EXAMPLES / "client.py"), str(tmp_path))

    takes = {f"take_{seed}.png" for seed in (1, 2, 3, 4)}
    assert {Path(line.split()[0]).name for line in said.splitlines()} == takes
    assert len({pixels(tmp_path / take).tobytes() for take in takes}) == 4


def test_package_when_installed_then_it_brings_the_command_and_its_types() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert project["project"]["scripts"]["xmdpt"] == "xmdpt_client.__main__:main"
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["xmdpt_client"]
    assert (ROOT / "xmdpt_client" / "py.typed").is_file()
