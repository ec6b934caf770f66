"""Every key name that Python uses; `redis_functions.lua` lists them all and what they hold."""

from dataclasses import dataclass

from service.domain.job import JobId


@dataclass(frozen=True)
class RedisKeys:
    """The names of one queue.

    Attributes:
        prefix: begins every key; its braces keep all of a queue's keys together.
    """

    prefix: str = "{xmdpt}:"

    def job(self, job_id: JobId) -> str:
        """Hash: one job's record."""
        return f"{self.prefix}job:{job_id}"

    @property
    def ready(self) -> str:
        """Zset by place in line: the queued jobs; one class and one tenant so far."""
        return f"{self.prefix}ready:interactive:default"

    @property
    def suspects(self) -> str:
        """Zset by place in line: the queued jobs that must run alone."""
        return f"{self.prefix}suspects"

    @property
    def events(self) -> str:
        """Stream: one entry for each change of a job's state."""
        return f"{self.prefix}events"

    @property
    def wake(self) -> str:
        """Pub/sub channel: a job has become claimable."""
        return f"{self.prefix}wake"
