"""How the command ends when it fails: one line that says what to do, and an exit status (listed in --help)."""

from xmdpt_client.errors import (
    AccessError,
    JobFailedError,
    JobStateError,
    NotFoundError,
    OverloadedError,
    RequestError,
    UnexpectedAnswerError,
    UnreachableError,
    WaitOverError,
    XmdptError,
)

FAILED, UNUSABLE, REFUSED, NO_PICTURE, TRY_LATER, INTERRUPTED = 1, 2, 3, 4, 5, 130

_ADVICE: dict[type[XmdptError], tuple[int, str]] = {
    RequestError: (REFUSED, "correct that and send it again"),
    AccessError: (REFUSED, "give a valid key as XMDPT_API_KEY or --key"),
    NotFoundError: (REFUSED, "check the id and the address"),
    JobStateError: (NO_PICTURE, "`xmdpt jobs show` tells how the job stands"),
    JobFailedError: (NO_PICTURE, "send the request again, or tell whoever runs the service"),
    OverloadedError: (TRY_LATER, "try again later"),
    UnreachableError: (TRY_LATER, "start the service (xmdpt-serve all), or name its address as XMDPT_URL or --url"),
    UnexpectedAnswerError: (FAILED, "check the address in XMDPT_URL or --url"),
    WaitOverError: (TRY_LATER, "`xmdpt jobs wait` goes on waiting, `xmdpt jobs result` fetches the picture"),
}


def ending_of(error: XmdptError) -> tuple[int, str]:
    """Exit status and line for an error of the client."""
    status, advice = _ADVICE.get(type(error), (FAILED, "tell whoever runs the service"))
    if isinstance(error, OverloadedError) and error.retry_after is not None:
        advice = f"try again in {error.retry_after:.0f} s"
    request = f" [request {error.request_id}]" if error.request_id else ""
    return status, one_line(f"{error}: {advice}{request}")


def one_line(text: str) -> str:
    """The text with all its white space as single spaces."""
    return " ".join(text.split())
