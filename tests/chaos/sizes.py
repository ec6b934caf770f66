"""How the parts of a run are set up: the settings of gateway and workers, and what the rules make of them."""

from dataclasses import dataclass

from service.adapters.queue_policy import QueuePolicy
from tests.chaos.history import Limits
from tests.chaos.processes import ROOT


@dataclass(frozen=True)
class Sizes:
    """How the parts are set up; times in seconds, or ms where the setting is in ms."""

    lease_seconds: float = 1.6
    stall_timeout_seconds: float = 3.0
    drain_seconds: float = 4.0
    retention_seconds: int = 120
    step_ms: float = 20.0
    row_ms: float = 3.0
    encoder_ms: float = 15.0
    decoder_ms: float = 15.0
    max_deliveries: int = 5
    max_failures: int = 3

    def limits(self, settle_seconds: float) -> Limits:
        """What the rules measure against."""
        return Limits(
            lease_seconds=self.lease_seconds,
            max_deliveries=self.max_deliveries,
            max_failures=self.max_failures,
            # A process that starts again on a busy computer keeps its callers waiting; who hangs, does so for ever.
            max_answer_seconds=20.0,
            drain_seconds=self.drain_seconds,
            settle_seconds=settle_seconds,
        )

    @property
    def policy(self) -> QueuePolicy:
        """The queue's, as far as its auditor needs it."""
        return QueuePolicy(lease_seconds=self.lease_seconds, stall_timeout_seconds=self.stall_timeout_seconds)

    def settings(self) -> dict[str, str]:
        """Environment of gateway and workers."""
        return {
            "XMDPT_BACKEND": "simulated",
            "XMDPT_LOG_FORMAT": "json",
            "XMDPT_MODEL_REPOSITORY": str(ROOT / "model_repository"),
            "XMDPT_SIMULATED__STEP_MS": str(self.step_ms),
            "XMDPT_SIMULATED__ROW_MS": str(self.row_ms),
            "XMDPT_SIMULATED__ENCODER_MS": str(self.encoder_ms),
            "XMDPT_SIMULATED__DECODER_MS": str(self.decoder_ms),
            "XMDPT_QUEUE__LEASE_SECONDS": str(self.lease_seconds),
            "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS": str(self.stall_timeout_seconds),
            "XMDPT_QUEUE__MAX_DELIVERIES": str(self.max_deliveries),
            "XMDPT_QUEUE__MAX_FAILURES": str(self.max_failures),
            "XMDPT_QUEUE__RETENTION_SECONDS": str(self.retention_seconds),
            "XMDPT_WORKER__EXECUTION": "stepwise",
            "XMDPT_WORKER__MAX_BATCH": "4",
            "XMDPT_WORKER__MAX_SLOTS": "4",
            "XMDPT_WORKER__DRAIN_SECONDS": str(self.drain_seconds),
        }
