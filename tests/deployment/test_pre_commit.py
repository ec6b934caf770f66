"""The commit hooks: accepted by pre-commit, nothing fetched from a repository, the project's own checks among them."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.deployment.artifacts import ROOT

CONFIG = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
HOOKS = {hook["id"]: hook for repo in CONFIG["repos"] for hook in repo["hooks"]}


def test_hooks_when_read_by_pre_commit_then_they_are_valid() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "pre-commit", "validate-config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_when_read_then_they_are_local_and_their_packages_pinned() -> None:
    packages = [package for hook in HOOKS.values() for package in hook.get("additional_dependencies", [])]

    assert {repo["repo"] for repo in CONFIG["repos"]} == {"local"}
    assert packages
    assert all("==" in package for package in packages)


def test_hooks_when_read_then_they_run_the_projects_checks_and_guard_what_is_added() -> None:
    entries = {hook["entry"] for hook in HOOKS.values()}

    assert entries == {"make check", "check-added-large-files", "check-merge-conflict", "detect-private-key"}
    assert HOOKS["check"]["always_run"] is True
    assert HOOKS["check"]["pass_filenames"] is False


def test_large_file_limit_when_compared_with_the_shipped_graphs_then_they_pass() -> None:
    (argument,) = HOOKS["large-files"]["args"]
    limit_bytes = int(argument.removeprefix("--maxkb=")) * 1024
    is_exempt = re.compile(HOOKS["large-files"]["exclude"]).search
    folder = ROOT / "model_repository"
    links = set(folder.glob("*/1/*.safetensors"))
    files = {path.relative_to(ROOT).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    assert max(p.stat().st_size for name, p in files.items() if p not in links and not is_exempt(name)) <= limit_bytes
    assert not is_exempt("model_repository/canet/1/demo.safetensors")
