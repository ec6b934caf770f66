"""What became of each call, as lines of JSON: written by the process that calls, read by the report."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["succeeded", "cancelled", "refused", "failed", "lost"]


@dataclass(frozen=True)
class Record:
    """One call.

    Attributes:
        due: when it was to be made, seconds from the start of the run.
        sent: when it was made: later if the caller itself could not follow.
        ended: when its end was known.
        kind: of the plan.
        steps: denoising steps.
        outcome: `refused` was never accepted; `lost` was, and had not ended when the run gave up.
        code: of the problem, where there was one.
    """

    due: float
    sent: float
    ended: float
    kind: str
    steps: int
    outcome: Outcome
    code: str = ""

    @property
    def seconds(self) -> float:
        """From when it was due: what the caller could not send in time has waited too."""
        return self.ended - self.due


def write_records(path: Path, records: Iterable[Record]) -> None:
    """One line each."""
    path.write_text("".join(json.dumps(asdict(record)) + "\n" for record in records))


def read_records(path: Path) -> Sequence[Record]:
    """Undo `write_records`."""
    return [Record(**json.loads(line)) for line in path.read_text().splitlines()]
