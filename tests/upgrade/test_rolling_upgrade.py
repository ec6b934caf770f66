"""Two versions share one queue: this one, and the next one as it may be; both ways, under load."""

from pathlib import Path

from tests.upgrade.rolling import roll
from tests.upgrade.trees import ROOT, next_tree


def test_upgrade_and_roll_back_when_jobs_go_on_coming_then_each_ends_well_once(tmp_path: Path) -> None:
    findings = roll(ROOT, next_tree(tmp_path), tmp_path)

    assert findings.violations == []
    assert findings.figures["times a job was left to the newer version"] > 0
