"""Every key name that Python uses; the files of `service/adapters/lua` list them all and what they hold."""

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

    def vector(self, key: str) -> str:
        """String: one vector of the cache."""
        return f"{self.prefix}vec:{key}"

    def finding(self, key: str) -> str:
        """String, for a day: what was found in one photo; no function touches it."""
        return f"{self.prefix}found:{key}"

    @property
    def events(self) -> str:
        """Stream: one entry for each change of a job's state."""
        return f"{self.prefix}events"

    @property
    def changes(self) -> str:
        """Pub/sub channel: a job or batch has changed, as JSON."""
        return f"{self.prefix}changes"

    @property
    def api_keys(self) -> str:
        """Hash: an API key's record by its id."""
        return f"{self.prefix}api_keys"

    @property
    def link_secret(self) -> str:
        """Text: what signs addresses that need no key."""
        return f"{self.prefix}link_secret"

    @property
    def wake(self) -> str:
        """Pub/sub channel: a job has become claimable."""
        return f"{self.prefix}wake"

    @property
    def cancel(self) -> str:
        """Pub/sub channel: a running job is no longer wanted."""
        return f"{self.prefix}cancel"
