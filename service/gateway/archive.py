"""A tenant's jobs as a list, and how one is erased."""

import asyncio
from contextlib import suppress

from service.domain.errors import NotFoundError, StorageError
from service.domain.job import JobId
from service.gateway.patience import queue_answers_within
from service.ports.archive import JobArchive, JobChoice, JobPage
from service.ports.blobs import BlobStore


class Archive:
    """The jobs that are kept."""

    def __init__(self, archive: JobArchive, blobs: BlobStore) -> None:
        self._archive = archive
        self._blobs = blobs

    async def page(self, tenant: str, chosen: JobChoice, before: int | None, limit: int) -> JobPage:
        """The newest chosen jobs, or those before where another page ended; StorageError: `queue_unavailable`."""
        async with queue_answers_within():
            return await self._archive.page(tenant, chosen, before, limit)

    async def erase(self, job_id: JobId, tenant: str) -> bool:
        """Forget a job with its pictures.

        Returns:
            whether that is done; else the job is ended first, and upkeep does the rest, whoever dies.

        Raises:
            NotFoundError: there is no such job.
            StorageError: `queue_unavailable`.
        """
        async with queue_answers_within():
            verdict = await self._archive.erase(job_id, tenant)
        if verdict == "notfound":
            raise NotFoundError("there is no such job")
        if verdict == "erasing":
            return False
        # What this leaves undone, upkeep has been told to do.
        with suppress(StorageError):
            await asyncio.to_thread(self._blobs.delete_job, job_id)
        return True
