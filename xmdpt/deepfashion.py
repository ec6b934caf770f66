"""DeepFashion's annotations as PATN wrote them: a row of text a photo, and the frame that its numbers lie in."""

import json
import re

FRAME_SIZE, FRAME_ORIGIN = (176.0, 256.0), (40.0, 0.0)
"""Annotated were 256 px squares: the 176 px wide photo between two white bars of 40 px. In px of those squares."""

# Nothing nested: such a list costs no more to read than it has characters.
_LIST = re.compile(r'\s*\[[^][{}"]*\]\s*')


def read_row(text: str) -> tuple[str, list[object], list[object]]:
    """Read `name:[y, ...]:[x, ...]`: name, ys and xs, which are not checked any further.

    Raises:
        ValueError: it has not that form.
    """
    name, ys, xs = text.split(":")
    if not (_LIST.fullmatch(ys) and _LIST.fullmatch(xs)):
        raise ValueError("not name:[y, ...]:[x, ...]")
    return name.strip(), json.loads(ys), json.loads(xs)
