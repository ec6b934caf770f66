"""A client of server-sent events."""

import json
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass
class Event:
    kind: str
    number: int | None
    data: dict[str, Any]


class Stream:
    """The events of one connection, one by one; comments and `retry` apart."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.other: list[str] = []
        self._lines = response.iter_lines()

    def next(self) -> Event:
        fields: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if not line and "data" in fields:
                number = int(fields["id"]) if "id" in fields else None
                return Event(fields["event"], number, json.loads(fields["data"]))
            if name in ("event", "id", "data"):
                fields[name] = value
            elif line:
                self.other.append(line)
        raise EOFError

    def next_of(self, kind: str) -> Event:
        event = self.next()
        while event.kind != kind:
            event = self.next()
        return event

    def rest(self) -> list[Event]:
        """Until the server closes."""
        found: list[Event] = []
        while True:
            try:
                found.append(self.next())
            except EOFError:
                return found
