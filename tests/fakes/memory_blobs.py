"""A blob store in memory, and scripted trouble."""

from service.domain.errors import NotFoundError, StorageError
from service.domain.request import MAX_IMAGES


class MemoryBlobs:
    """Keeps `in/<job>`, `out/<job>.<fence>[.<index>]`, `preview/<job>`, `lib/<picture>`; `is_down` fails every call."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.is_down = False
        self.sweeps: list[float] = []

    def clear(self) -> None:
        """Forget everything and all trouble."""
        self.content.clear()
        self.sweeps.clear()
        self.is_down = False

    def put_input(self, job_id: str, content: bytes) -> None:
        self._put(f"in/{job_id}", content)

    def get_input(self, job_id: str) -> bytes:
        return self._get(f"in/{job_id}")

    def put_output(self, job_id: str, fence: int, content: bytes, index: int = 0) -> None:
        self._put(_output(job_id, fence, index), content)

    def get_output(self, job_id: str, fence: int, index: int = 0) -> bytes:
        return self._get(_output(job_id, fence, index))

    def put_preview(self, job_id: str, content: bytes) -> None:
        self._put(f"preview/{job_id}", content)

    def get_preview(self, job_id: str) -> bytes:
        return self._get(f"preview/{job_id}")

    def delete_output(self, job_id: str, fence: int) -> None:
        self.check_writable()
        for index in range(MAX_IMAGES):
            self.content.pop(_output(job_id, fence, index), None)

    def delete_job(self, job_id: str) -> None:
        self.check_writable()
        for name in [name for name in self.content if job_id in name]:
            del self.content[name]

    def put_picture(self, picture_id: str, content: bytes) -> None:
        self._put(f"lib/{picture_id}", content)

    def get_picture(self, picture_id: str) -> bytes:
        return self._get(f"lib/{picture_id}")

    def touch_picture(self, picture_id: str) -> None:
        self._get(f"lib/{picture_id}")

    def delete_picture(self, picture_id: str) -> None:
        self.check_writable()
        self.content.pop(f"lib/{picture_id}", None)

    def sweep(self, older_than_seconds: float) -> int:
        self.check_writable()
        self.sweeps.append(older_than_seconds)
        return 0

    def check_writable(self) -> None:
        if self.is_down:
            raise StorageError("storage_unavailable", "scripted outage")

    def _put(self, name: str, content: bytes) -> None:
        self.check_writable()
        self.content[name] = content

    def _get(self, name: str) -> bytes:
        self.check_writable()
        if name not in self.content:
            raise NotFoundError("there is no such picture")
        return self.content[name]


def _output(job_id: str, fence: int, index: int) -> str:
    return f"out/{job_id}.{fence}" + (f".{index}" if index else "")
