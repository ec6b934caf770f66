"""What can go wrong between a program and the service: one class a family, each with all that is known of the fault.

Which answer becomes which error is `xmdpt_client.answers`'.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One field at fault.

    Attributes:
        pointer: JSON pointer of the field in the API's JSON body, such as `/pose/keypoints/3`.
        detail: what is wrong with it, and the limit.
    """

    pointer: str
    detail: str


class XmdptError(Exception):
    """Any failure of a call.

    Attributes:
        detail: one sentence, for people.
        code: stable, for programs: a code of docs/errors.md, or this package's own `unreachable`, `unexpected_answer`
            and `wait_over`.
        status: of HTTP; None if there was no answer.
        retryable: the very same call may succeed later.
        retry_after: seconds after which that is likely, as the service said; None if it said nothing.
        errors: the fields at fault.
        request_id: under which the service's logs know the call; None if there was no answer.
        job_id: of the job that this is about, if there is one.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "unexpected_answer",
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        errors: Sequence[FieldError] = (),
        request_id: str | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after
        self.errors = tuple(errors)
        self.request_id = request_id
        self.job_id = job_id

    def __str__(self) -> str:
        faults = [f"{fault.pointer} {fault.detail}" for fault in self.errors]
        return f"{'; '.join(faults) or self.detail} ({self.code})"


class RequestError(XmdptError):
    """The request can't be used as it is: 4xx; `errors` names the fields."""


class AccessError(XmdptError):
    """The key is missing, wrong, or not allowed to do this: 401, 403."""


class NotFoundError(XmdptError):
    """There is no such job, or it is somebody else's: 404."""


class JobStateError(XmdptError):
    """The job has no picture to give: not ended yet or cancelled (409), or its picture has been deleted (410)."""


class JobFailedError(XmdptError):
    """The job has ended without a picture; `status` is the one of its own problem."""


class OverloadedError(XmdptError):
    """The service can't take this now: 429, 503; `retry_after` says when it can."""


class ServerError(XmdptError):
    """The service failed: 500 and other 5xx."""


class UnreachableError(XmdptError):
    """Nobody answers, the connection broke, or an answer took too long."""


class UnexpectedAnswerError(XmdptError):
    """Somebody answers, but not as this service does: a wrong address, or a proxy in between."""


class WaitOverError(XmdptError):
    """The job has not ended in the time that it was waited for; it goes on, `job_id` finds it."""


def family_of(status: int) -> type[XmdptError]:
    """The class for a problem of an HTTP status."""
    families: dict[int, type[XmdptError]] = {
        401: AccessError,
        403: AccessError,
        404: NotFoundError,
        409: JobStateError,
        410: JobStateError,
        429: OverloadedError,
        503: OverloadedError,
    }
    return families.get(status, RequestError if 400 <= status < 500 else ServerError)
