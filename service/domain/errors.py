"""The error tree: whose fault, and whether the same call may be repeated.

It does not know HTTP: `service.api.problems` alone turns a code into a status.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldIssue:
    """One thing wrong with one field of a request.

    Attributes:
        pointer: JSON pointer of the field, such as `/pose/keypoints/3`.
        detail: what is wrong and which limit holds, in one sentence.
    """

    pointer: str
    detail: str


class ServiceError(Exception):
    """Root of every error that the service raises on purpose.

    Attributes:
        code: the stable code of `docs/api.md`.
        detail: one sentence for a person: what is wrong and what to do.
        is_retryable: the very same call may succeed later.
        issues: the fields at fault, possibly none.
    """

    is_retryable = False

    def __init__(self, code: str, detail: str, issues: tuple[FieldIssue, ...] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.issues = issues


class RequestError(ServiceError):
    """The caller's fault: the request can never succeed as it is."""

    @classmethod
    def of_field(cls, code: str, pointer: str, detail: str) -> "RequestError":
        """Build the common case, one field at fault."""
        return cls(code, detail, (FieldIssue(pointer, detail),))


class NotFoundError(ServiceError):
    """Nothing of that name is here, or it is not the caller's."""

    def __init__(self, detail: str) -> None:
        super().__init__("not_found", detail)


class AccessError(ServiceError):
    """The caller may not do this.

    Attributes:
        is_key_given: the call carried a key, which is no good.
    """

    def __init__(self, code: str, detail: str, *, is_key_given: bool = False) -> None:
        super().__init__(code, detail)
        self.is_key_given = is_key_given


class OverloadedError(ServiceError):
    """Too much at once: nothing was accepted, try again later.

    Attributes:
        retry_after_seconds: when a repetition has a chance, >= 1.
    """

    is_retryable = True

    def __init__(self, code: str, detail: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = max(1.0, retry_after_seconds)


class JobStateError(ServiceError):
    """The job exists but is at the wrong point of its life for this call.

    Attributes:
        retry_after_seconds: when to ask again; None if asking again is pointless.
    """

    def __init__(self, code: str, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = retry_after_seconds


class RangeNotSatisfiableError(ServiceError):
    """None of the ranges lies in the file, or there are too many of them.

    Attributes:
        num_bytes: length of the file.
    """

    def __init__(self, detail: str, num_bytes: int) -> None:
        super().__init__("range_not_satisfiable", detail)
        self.num_bytes = num_bytes


class BackendError(ServiceError):
    """A graph could not be run, or its output can't be trusted."""


class ResourceExhaustedError(BackendError):
    """The device ran out of memory; a smaller batch may fit."""

    is_retryable = True

    def __init__(self, detail: str) -> None:
        super().__init__("resource_exhausted", detail)


class BackendTimeoutError(BackendError):
    """A graph was called and gave no answer in time; nobody waits for it any more."""

    is_retryable = True

    def __init__(self, detail: str) -> None:
        super().__init__("backend_timeout", detail)


class BackendUnavailableError(BackendError):
    """Whatever runs the graphs is away, takes no more work, or no longer runs ours: no job's fault."""

    is_retryable = True

    def __init__(self, detail: str) -> None:
        super().__init__("backend_unavailable", detail)


class StorageError(ServiceError):
    """The queue or the blob store does not answer; nothing was lost."""

    is_retryable = True


class NewerVersionError(StorageError):
    """A newer version has stored it, and only such a one can act on it: nothing is wrong, and nothing was lost."""

    def __init__(self, detail: str) -> None:
        super().__init__("queue_unavailable", detail)


class DamagedError(StorageError):
    """What is stored is not what was stored: no other try will read it."""


EXIT_CONFIGURATION = 78
"""Status (sysexits.h) of a process whose configuration is wrong: starting it again does not help."""

EXIT_TRY_LATER = 75
"""Status of a process that found something away which may come back, such as the queue."""


class ConfigurationError(ServiceError):
    """A start-up failure that waiting does not heal: a setting, or what it names, can't be worked with."""

    def __init__(self, detail: str) -> None:
        super().__init__("configuration", detail)


class ModelRepositoryError(ServiceError):
    """Another one: a graph is missing, or differs from its manifest or from the contract."""

    def __init__(self, detail: str) -> None:
        super().__init__("model_repository", detail)
