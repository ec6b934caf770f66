"""The pair file: which person is to be drawn in whose pose, one pair a line.

Does not open pictures (`xmdpt.evaluation.photos`) nor key points (`xmdpt.evaluation.key_points`).
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from xmdpt.evaluation.mistakes import InputError


@dataclass(frozen=True)
class Pair:
    """One line of a pair file.

    Attributes:
        index: 0-based place among the pairs; the seed of its picture is the run's seed plus this.
        line: 1-based line in the file, for people.
        target: name of the photo whose pose is asked for, and which the picture is compared with.
        source: name of the photo that shows the person.
    """

    index: int
    line: int
    target: str
    source: str


def read_pairs(path: Path, seed: int) -> list[Pair]:
    """Read lines `target,source[,source...]`; blank lines are left out.

    Where a line names several sources one is drawn. The draw depends on the seed and the pair's index alone, so that
    a part of the file gives the same pairs as the whole.

    Args:
        path: text file in UTF-8.
        seed: 0 or above.

    Raises:
        InputError: the file cannot be read, a line has no source or an empty name, or there is no pair.
    """
    pairs: list[Pair] = []
    for line, text in enumerate(_read_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        if not pairs and text.strip() == "from,to":
            raise InputError(
                f"{path}:{line}: a table from,to; make pairs of it by awk -F, 'NR > 1 {{ print $2 \",\" $1 }}' {path}"
            )
        target, *sources = (name.strip() for name in text.split(","))
        if not sources or not all(PurePosixPath(name).name for name in (target, *sources)):
            raise InputError(f"{path}:{line}: not a pair; a line must be target,source[,source...]")
        drawn = np.random.default_rng([seed, len(pairs)]).integers(len(sources))
        pairs.append(Pair(len(pairs), line, target, sources[drawn]))
    if not pairs:
        raise InputError(f"{path}: holds no pair; each line must be target,source[,source...]")
    return pairs


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the pair file with --pairs") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text; give the pair file with --pairs") from None
