"""Whether there is anybody to work: a call that waits for its job should not wait for nobody.

A job that does not wait is accepted all the same: the next worker takes it.
"""

import asyncio
import time
from collections.abc import Callable

from service.domain.errors import OverloadedError
from service.gateway.forecast import Forecasts

# A worker that is started again, or warms up, is there within this time.
PATIENCE_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 1.0


class Workforce:
    """The living workers, as one gateway sees them."""

    def __init__(
        self,
        forecasts: Forecasts,
        patience_seconds: float = PATIENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._forecasts, self._patience_seconds, self._now = forecasts, patience_seconds, now
        self._absent_since: float | None = None

    async def run(self) -> None:
        """Look each second, until this is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def look(self) -> None:
        """See whether a worker is alive; a queue that does not say is no proof that none is."""
        if await self._forecasts.num_workers() != 0:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = self._now()

    async def check(self) -> None:
        """For a call that is going to wait, before anything of it is kept.

        Raises:
            OverloadedError: `no_worker`: none has been alive for `patience_seconds`.
        """
        await self.look()
        if self._absent_since is not None and self._now() - self._absent_since >= self._patience_seconds:
            detail = (
                f"no worker has been alive for {self._patience_seconds:g} s, and nothing was kept; with "
                "`Prefer: respond-async` the job is accepted and waits for one"
            )
            raise OverloadedError("no_worker", detail, self._patience_seconds)
