"""At the border foreign exceptions become ours, and their text, which may hold addresses, does not pass."""

import errno

import pytest
import redis

from service.adapters.error_mapping import is_out_of_memory, queue_errors, storage_errors
from service.domain.errors import NotFoundError, StorageError

SECRET = "redis://user:password@10.0.0.1:6379"


@pytest.mark.parametrize(
    "foreign",
    [
        redis.ConnectionError(SECRET),
        redis.TimeoutError(SECRET),
        redis.BusyLoadingError(SECRET),
        redis.ResponseError(f"OOM {SECRET}"),
        redis.AuthenticationError(SECRET),
        ConnectionResetError(errno.ECONNRESET, SECRET),
        TimeoutError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_queue_errors_when_the_client_raises_then_the_queue_is_unavailable(foreign: Exception) -> None:
    with pytest.raises(StorageError) as error, queue_errors():
        raise foreign

    assert (error.value.code, error.value.is_retryable) == ("queue_unavailable", True)
    assert type(foreign).__name__ in error.value.detail
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is foreign


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/srv/blobs/in/x"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/srv/blobs"), "Permission denied"),
        (OSError("/srv/blobs is odd"), "OSError"),
    ],
)
def test_storage_errors_when_the_file_system_raises_then_the_storage_is_unavailable(
    foreign: OSError, words: str
) -> None:
    with pytest.raises(StorageError) as error, storage_errors():
        raise foreign

    assert (error.value.code, error.value.is_retryable) == ("storage_unavailable", True)
    assert words in error.value.detail
    assert "/srv" not in str(error.value)
    assert error.value.__cause__ is foreign


@pytest.mark.parametrize("mapping", [queue_errors, storage_errors])
@pytest.mark.parametrize("other", [ValueError("a mistake of ours"), NotFoundError("gone"), StorageError("x", "y")])
def test_errors_when_they_are_not_foreign_then_they_pass(mapping, other: Exception) -> None:
    with pytest.raises(type(other)) as error, mapping():
        raise other

    assert error.value is other


@pytest.mark.parametrize(
    ("text", "may_fit"),
    [
        ("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1048576", True),
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_)", True),
        ("CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED ; GPU=0", True),
        ("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0", False),
    ],
)
def test_runtime_error_when_memory_is_short_then_a_smaller_batch_may_fit(text: str, may_fit: bool) -> None:
    assert is_out_of_memory(text) == may_fit
