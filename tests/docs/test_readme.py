"""The README's commands are run as they stand; its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.processes import running_service
from xmdpt.sampler import SAMPLERS
from xmdpt.spec import LOW_GRAPHS, VARIANTS, graph_specs

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
SHELL = [text.strip() for language, text in BLOCKS if language == "bash"]
PYTHON = [text for language, text in BLOCKS if language == "python"]
PAGES = sorted(page for pattern in ("*.md", "docs/**/*.md", "*/README.md") for page in ROOT.glob(pattern))
# This very run is `make test`, and `running_service` starts what the second one starts.
RUN_ELSEWHERE = {"make test", ".venv/bin/xmdpt-serve all"}
ADDRESS = "http://127.0.0.1:8080"
# The environment that runs this may have been made before the command was.
XMDPT = ".venv/bin/xmdpt "


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def processes_in(folder: Path) -> list[str]:
    """Command lines and environments that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue  # It has ended.
        if str(folder).encode() in about:
            found.append(about.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_readme_when_read_then_it_holds_the_commands_that_are_run_here() -> None:
    assert RUN_ELSEWHERE | {"make demo", "make parity", "make verify"} < set(SHELL)
    assert any(command.startswith("curl") for command in SHELL)
    assert len(PYTHON) == 1


def test_make_demo_when_run_then_it_writes_both_pictures_and_leaves_no_process(tmp_path: Path) -> None:
    out = tmp_path / "demo.png"

    done = shell(f"make demo OUT={out} STEPS=10", TMPDIR=str(tmp_path))

    # In the photo's own shape, which the service stretches to a square.
    assert size_of(out) == size_of(ROOT / "examples" / "person.png") == (176, 256)
    assert size_of(tmp_path / "demo_sheet.png")[0] > 3 * 176
    for words in ("ready", "tdnet_step", "vae_decoder", "every process has ended"):
        assert words in done.stdout
    assert processes_in(tmp_path) == []


def test_make_demo_when_the_photo_is_missing_then_it_says_so() -> None:
    done = subprocess.run(["make", "demo", "SOURCE=absent.png"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "absent.png: no such file" in done.stderr


def test_make_verify_when_run_then_every_graph_and_both_loops_agree() -> None:
    # Larger batches are compared by tests/export/test_shipped_repository.py, which also reads in the manifest what 32
    # persons showed of the presets.
    done = shell("make verify", VERIFY="--batch-sizes 1 --preset-pictures 2")

    # Pictures of 50 steps in float32 are compared here only; tests/export/test_precision.py has the other precisions.
    agreeing = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" ok")}
    assert agreeing == {*graph_specs(VARIANTS["demo"]), *LOW_GRAPHS, *SAMPLERS, "fast", "draft"}
    assert "every graph agrees with torch\n" in done.stdout


def test_make_parity_when_run_on_a_folder_then_it_compares_what_is_there(tmp_path: Path) -> None:
    # All of the numbers are compared by tests/parity, and take two minutes.
    for name in ("schedule.npz", "pose_render.npz"):
        shutil.copy(ROOT / "tests" / "golden" / name, tmp_path)

    done = shell(f"make parity REFERENCE={tmp_path}")

    assert "schedule/full.alphas_cumprod" in done.stdout
    assert "pose_render/pose_0" in done.stdout


def test_readme_requests_when_sent_then_they_are_answered(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        url = f"http://127.0.0.1:{service.port}"
        for command in SHELL:
            if command.startswith(("curl", XMDPT)):
                out = tmp_path / f"{command.split()[0].rpartition('/')[2]}.png"
                client = command.replace(XMDPT, f"{sys.executable} -m xmdpt_client ")
                shell(client.replace(ADDRESS, url).replace("out.png", str(out)), XMDPT_URL=url)
                assert size_of(out) == (256, 256)
        (code,) = PYTHON
        out = tmp_path / "python.png"
        program = code.replace(ADDRESS, url).replace("picture.png", str(out))
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
        assert size_of(out) == (256, 256)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["curl.png", "python.png", "xmdpt.png"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_when_it_links_to_a_file_then_the_file_exists(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())

    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]

    assert missing == []
