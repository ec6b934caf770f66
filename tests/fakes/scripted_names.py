"""A resolver that answers from a script."""

from collections.abc import Sequence


class ScriptedNames:
    """Its answers one after the other, the last one again and again."""

    def __init__(self, *answers: Sequence[str] | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def addresses(self, host: str, port: int) -> Sequence[str] | None:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
