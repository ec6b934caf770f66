"""When a failed call is sent again: a pure decision. Every call of this package may be repeated without harm."""

from xmdpt_client.errors import XmdptError

_FIRST_PAUSE_SECONDS = 0.5
_MAX_PAUSE_SECONDS = 8.0
# Whoever is told to come back later than this is told so at once, and may decide.
_MAX_RETRY_AFTER_SECONDS = 60.0
# No answer, too many calls, a proxy without its server, no room: none of them is about the call itself.
_STATUSES = frozenset({None, 429, 502, 503})


def pause_before_retry(error: XmdptError, num_failures: int, chance: float) -> float | None:
    """Seconds until the next try, None if there is none to be.

    Args:
        error: how the last try ended.
        num_failures: tries that have failed, from 1.
        chance: 0 .. 1, drawn anew each time, so that clients that failed together don't come back together.
    """
    if not error.retryable or error.status not in _STATUSES:
        return None
    if error.retry_after is not None:
        # Never earlier than asked for.
        return error.retry_after * (1 + 0.25 * chance) if error.retry_after <= _MAX_RETRY_AFTER_SECONDS else None
    longest = min(_MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (num_failures - 1))
    return longest * (0.5 + 0.5 * chance)
