"""Answers that go on: bytes become lines, and lines server-sent events, whatever these mean."""

from dataclasses import dataclass


class Lines:
    """Cuts bytes at line feeds alone: JSON texts may hold other characters that end a line."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, content: bytes) -> list[str]:
        """The lines that are whole now; one that never ends is none."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]


@dataclass(frozen=True)
class Event:
    """One server-sent event.

    Attributes:
        kind: its name, such as `status`.
        data: a text.
    """

    kind: str
    data: str


class EventReader:
    """Puts events together from lines; comments are none.

    Attributes:
        last_id: of the last event that had one; None before.
    """

    def __init__(self) -> None:
        self.last_id: str | None = None
        self._fields: dict[str, str] = {}

    def add(self, line: str) -> Event | None:
        """The event that an empty line ends."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        self.last_id = fields.get("id", self.last_id)
        return Event(fields.get("event", ""), fields["data"]) if "data" in fields else None
