"""The pictures of a report: how errors spread, each joint's share, and the photos in which poses came out worst.

Does not choose the figures (`xmdpt.pose_estimation.accuracy.measure`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from xmdpt.pose_estimation.accuracy.measure import Result, joint_shares
from xmdpt.pose_estimation.accuracy.pck import THRESHOLD
from xmdpt.skeleton import MISSING
from xmdpt.spec import IMAGE_SIZE

JOINTS = (
    *("nose", "neck", "r shoulder", "r elbow", "r wrist", "l shoulder", "l elbow", "l wrist"),
    *("r hip", "r knee", "r ankle", "l hip", "l knee", "l ankle", "r eye", "l eye", "r ear", "l ear"),
)
_LIMIT_PX = THRESHOLD * IMAGE_SIZE
_LONGEST_PX, _BIN_PX = 40, 1
_DPI = 100
# In px of a sheet; each photo at its true shape, twice as large as the model's.
_WIDTH, _HEIGHT, _GAP, _LABEL, _COLUMNS = 352, 512, 6, 18, 4
_DOT = 4
_TRUE, _FOUND, _MISSED = "#1a9850", "#d73027", "#fdae61"


def save_charts(results: Mapping[str, Sequence[Result]], path: Path) -> None:
    """Write a row for each kind of photos: the histogram of errors and the bars of the joints."""
    chart = Figure(figsize=(12, 3.6 * len(results)), layout="constrained")
    rows = chart.subplots(len(results), 2, squeeze=False)
    for (histogram, bars), (name, each) in zip(rows, results.items(), strict=True):
        errors = np.concatenate([result.errors for result in each])
        errors = errors[np.isfinite(errors)]
        histogram.hist(errors.clip(max=_LONGEST_PX), bins=np.arange(0, _LONGEST_PX + _BIN_PX, _BIN_PX), color="#2a7f62")
        histogram.axvline(_LIMIT_PX, color="black", linestyle="--", linewidth=1, label=f"PCK's limit, {_LIMIT_PX} px")
        histogram.set_xlabel(f"error, px of {IMAGE_SIZE}; the last bar is all beyond")
        histogram.set_ylabel("key points")
        histogram.set_title(f"{name}: {len(each)} photos", fontsize=10)
        histogram.legend()
        bars.bar(range(len(JOINTS)), np.nan_to_num(joint_shares(each)), color="#2a7f62")
        bars.set_xticks(range(len(JOINTS)), JOINTS, rotation=60, ha="right", fontsize=8)
        bars.set_ylim(0, 1)
        bars.set_ylabel(f"PCK@{THRESHOLD}")
    chart.savefig(path, dpi=_DPI)


def save_worst(results: Sequence[Result], path: Path, num_photos: int = 12) -> None:
    """Write the photos with the largest mean errors, those in which nobody was found first.

    Green is where a point truly is, red where it was found, orange what was not found.
    """
    worst = sorted(results, key=_badness, reverse=True)[:num_photos]
    num_rows = -(-len(worst) // _COLUMNS)
    size = (_COLUMNS * (_WIDTH + _GAP) + _GAP, num_rows * (_HEIGHT + _LABEL + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    for number, result in enumerate(worst):
        row, column = divmod(number, _COLUMNS)
        place = (_GAP + column * (_WIDTH + _GAP), _GAP + row * (_HEIGHT + _LABEL + _GAP))
        sheet.paste(_marked(result), (place[0], place[1] + _LABEL))
        words = f"{result.case.name}: mean error {_badness(result):.1f} px" if _is_found(result) else "nobody found"
        ImageDraw.Draw(sheet).text(place, words, fill="black", font=ImageFont.load_default(12))
    sheet.save(path)


def _badness(result: Result) -> float:
    errors = result.errors[np.isfinite(result.errors)]
    return float(errors.mean()) if errors.size else float(IMAGE_SIZE)


def _is_found(result: Result) -> bool:
    return bool((result.key_points != MISSING).any())


def _marked(result: Result) -> Image.Image:
    picture = Image.fromarray(result.case.photo).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    scale = np.array([_WIDTH, _HEIGHT]) / IMAGE_SIZE
    for true, found in zip(result.case.key_points, result.key_points, strict=True):
        is_true, is_found = (true != MISSING).any(), (found != MISSING).any()
        if is_true and is_found:
            pen.line([tuple(true * scale), tuple(found * scale)], fill=_FOUND, width=2)
        if is_true:
            pen.circle(tuple(true * scale), _DOT, fill=_TRUE if is_found else _MISSED)
        if is_found:
            pen.circle(tuple(found * scale), _DOT - 1, fill=_FOUND)
    return picture
