"""A thread whose unforeseen end is told: without it the worker would look alive and do half of its work."""

import threading
from collections.abc import Callable


class WatchedThread(threading.Thread):
    """Runs `body`; what it raises goes to `on_death`, called from this thread."""

    def __init__(self, name: str, body: Callable[[], None], on_death: Callable[[BaseException], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._body, self._on_death = body, on_death

    def run(self) -> None:
        """See threading.Thread."""
        try:
            self._body()
        except BaseException as error:
            self._on_death(error)
