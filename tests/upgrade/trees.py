"""The source trees that two versions of the service run from.

One is taken out of git; one is this tree as a next version may be: every kind of change that versions may make to what
they share, and none that anybody needs.
"""

import shutil
import subprocess
from pathlib import Path

from service.adapters.queue_functions import functions_source, version_of

ROOT = Path(__file__).resolve().parents[2]
_SERVED = ("service", "xmdpt")
_VERSION = version_of(functions_source())

# file: texts that are there once, and what the next version has instead
_NEXT: dict[str, dict[str, str]] = {
    "adapters/lua/version.lua": {f"local VERSION = {_VERSION}\n": f"local VERSION = {_VERSION + 1}\n"},
    # Answers grow at their end; what only the next version calls is there under another name.
    "adapters/lua/batches.lua": {
        "        batch[7] or ''}\n": "        batch[7] or '', 'novelty'}\n",
        "redis.register_function('q1_batch_open', batch_open)\n": (
            "redis.register_function('q1_batch_open', batch_open)\n"
            "redis.register_function{\n"
            "  function_name = 'q1_batch_feed_next', callback = batch_feed, flags = {'allow-oom'},\n"
            "}\n"
        ),
    },
    "adapters/redis_batches.py": {'"q1_batch_feed"': '"q1_batch_feed_next"'},
    # Records gain fields; an argument more may be absent.
    "adapters/lua/intake.lua": {
        "'failures', 0, 'suspect', 0)\n": "'failures', 0, 'suspect', 0, 'novelty', args[19] or 'none')\n"
    },
    "adapters/redis_intake.py": {
        "            trace_to_text(job.trace),\n        )\n        return Enqueued": (
            '            trace_to_text(job.trace),\n            "some",\n        )\n        return Enqueued'
        )
    },
    "domain/result.py": {
        "    cache: Mapping[str, str] = field(default_factory=dict[str, str])\n": (
            "    cache: Mapping[str, str] = field(default_factory=dict[str, str])\n    novelty: str = 'some'\n"
        )
    },
    "domain/capacity.py": {"    num_pictures: int = 0\n": "    num_pictures: int = 0\n    novelty: str = 'some'\n"},
    # What only the next version can do: every fourth seed asks for it.
    "domain/request.py": {
        "    preset: Preset = field(default=Preset.EXACT, metadata=LATER)\n": (
            "    preset: Preset = field(default=Preset.EXACT, metadata=LATER)\n"
            "    novelty: bool = field(default=False, metadata=LATER)\n"
        ),
    },
    "gateway/submission.py": {
        "options.sampler, options.preset),\n": "options.sampler, options.preset, seed % 4 == 3),\n",
        # No client has asked for it: a call that is repeated at the other version is the same.
        '        del content["found_pose"]\n': (
            '        del content["found_pose"]\n        content["params"].pop("novelty", None)\n'
        ),
    },
}


def next_tree(folder: Path) -> Path:
    """This tree with the next version's changes, in a new folder.

    Raises:
        ValueError: a text that is to be changed is not there once.
    """
    tree = folder / "next"
    shutil.copytree(ROOT / "service", tree / "service", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "xmdpt").symlink_to(ROOT / "xmdpt")
    for name, changes in _NEXT.items():
        path = tree / "service" / name
        text = path.read_text()
        for old, new in changes.items():
            if text.count(old) != 1:
                raise ValueError(f"{name} has {text.count(old)} times {old!r}")
            text = text.replace(old, new)
        path.write_text(text)
    return tree


def tree_of(ref: str, folder: Path) -> Path:
    """What is served of a commit, in a new folder.

    Raises:
        ValueError: there is no such commit here.
    """
    tree = folder / "base"
    tree.mkdir(parents=True)
    archive = folder / "base.tar"
    _git("archive", f"--output={archive}", _commit(ref), "--", *_SERVED)
    shutil.unpack_archive(archive, tree, filter="data")
    return tree


def _commit(ref: str) -> str:
    """The full name of a commit, whatever the text looks like."""
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ValueError(f"{ref} is no commit that is here") from None


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
