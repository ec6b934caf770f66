"""The queue's bounds and times, checked together; the same values must reach every process of a queue."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QueuePolicy:
    """How long, how often, how many.

    Attributes:
        lease_seconds: how long a silent worker keeps a job.
        max_deliveries: times a job is handed out; a delivery that its worker hands back does not count.
        max_failures: times a job may raise before it fails.
        stall_timeout_seconds: longest time without progress before a living worker loses a job.
        max_live: jobs accepted and not ended; more are refused.
        max_live_per_tenant: likewise of one tenant.
        retry_delay_seconds: longest pause before the second try; doubles with each failure.

    Raises:
        ValueError: a value is not positive, or the stall timeout is shorter than the lease.
    """

    lease_seconds: float = 15.0
    max_deliveries: int = 5
    max_failures: int = 3
    stall_timeout_seconds: float = 30.0
    max_live: int = 2000
    max_live_per_tenant: int = 500
    retry_delay_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                msg = f"{name} must be positive, not {value}"
                raise ValueError(msg)
        if self.stall_timeout_seconds < self.lease_seconds:
            msg = (
                f"stall_timeout_seconds={self.stall_timeout_seconds} must be at least lease_seconds="
                f"{self.lease_seconds}: a silent worker is noticed before a stalled one"
            )
            raise ValueError(msg)
