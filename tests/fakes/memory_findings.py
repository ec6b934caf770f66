"""What was found in photos, in memory."""

from service.domain.person import Finding


class MemoryFindings:
    """FindingCache that forgets nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, Finding] = {}

    def get(self, key: str) -> Finding | None:
        return self.kept.get(key)

    def put(self, key: str, finding: Finding) -> None:
        self.kept[key] = finding
