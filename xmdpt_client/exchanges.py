"""What a flow asks its client to do, and a call that is repeated until it is answered.

A flow is a generator: it yields steps, and is given what each of them found or has its fault thrown in. It sends
nothing itself and never sleeps, so that one flow serves the synchronous and the asynchronous client.
"""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from xmdpt_client.answers import error_of, unreachable
from xmdpt_client.calls import Call
from xmdpt_client.errors import XmdptError
from xmdpt_client.retries import pause_before_retry

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """A call to be sent after a pause of so many seconds: its answer, without its body if that is a stream."""

    call: Call
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class NextLine:
    """The next line of the stream that was opened last, as a text without its end; None after the last one."""


@dataclass(frozen=True)
class Work:
    """Something that takes its time on this computer, such as reading a file: what the function returns."""

    function: Callable[[], Any]


Step: TypeAlias = Exchange | NextLine | Work
Flow: TypeAlias = Generator[Step, Any, T]


class Asker:
    """Sends calls until they are answered.

    Args:
        max_retries: how often a call is sent again, 0 or more.
    """

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries

    def answer(self, call: Call, pause_seconds: float = 0.0, *, ends_at_a_job: bool = False) -> Flow[httpx.Response]:
        """The first answer that tells success.

        Args:
            call: what is sent.
            pause_seconds: before the first try.
            ends_at_a_job: a refusal that names a job is the last one: the service has accepted the call.

        Raises:
            XmdptError: how the last try ended.
        """
        num_failures = 0
        while True:
            try:
                response = yield Exchange(call, pause_seconds)
            except httpx.RequestError as fault:
                error, cause = unreachable(fault), fault
            else:
                if response.is_success:
                    return response
                error, cause = error_of(response), None
            num_failures += 1
            pause = None if ends_at_a_job and error.job_id else self.pause_after(error, num_failures)
            if pause is None:
                raise error from cause
            pause_seconds = pause

    def pause_after(self, error: XmdptError, num_failures: int) -> float | None:
        """Seconds until the next try, None if there is none to be; failures are counted from 1."""
        return pause_before_retry(error, num_failures, random.random()) if num_failures <= self._max_retries else None
