"""A real queue whose webhooks a test dispatches, and its worker and its operator, whom the test plays by hand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_webhooks import RedisSecretRegister, RedisWebhookQueue
from service.adapters.resolver import SystemResolver
from service.adapters.task_end import end_task
from service.adapters.webhook_sender import HttpWebhookSender
from service.api.webhook_bodies import webhook_body
from service.domain.webhook import Webhook, WebhookEvent
from service.gateway.webhooks import BodyOf, WebhookDispatcher
from service.telemetry.metrics import GatewayMetrics
from tests.contract.queue_parts import Queue
from tests.fakes.webhook_receiver import Receiver
from tests.unit.builders import a_new_job, a_result

ALL_OF_A_JOB = (
    WebhookEvent.JOB_STARTED,
    WebhookEvent.JOB_SUCCEEDED,
    WebhookEvent.JOB_FAILED,
    WebhookEvent.JOB_CANCELLED,
)
MANY_TRIES = (0.02,) * 50


@dataclass
class Desk:
    """One queue, and the dispatchers that a test starts."""

    queue: Queue
    metrics: GatewayMetrics = field(default_factory=lambda: GatewayMetrics("test"))

    @asynccontextmanager
    async def dispatching(
        self,
        retry_seconds: Sequence[float] = MANY_TRIES,
        lease_seconds: float = 60,
        timeout_seconds: float = 10,
        is_development: bool = True,
        body_of: BodyOf = webhook_body,
    ) -> AsyncIterator[WebhookDispatcher]:
        hooks = RedisWebhookQueue(self.queue.url, RedisKeys(), lease_seconds)
        dispatcher = WebhookDispatcher(
            hooks,
            HttpWebhookSender(SystemResolver(2), "test", timeout_seconds),
            body_of,
            self.metrics,
            is_development=is_development,
            retry_seconds=retry_seconds,
            look_every_seconds=0.01,
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            await end_task(task)
            await dispatcher.aclose()
            await hooks.aclose()

    async def submit(self, receiver: Receiver, number: int = 1, events: Sequence[WebhookEvent] = ALL_OF_A_JOB) -> None:
        job = dataclasses.replace(a_new_job(number), webhook=Webhook(receiver.url(), events))
        assert (await self.queue.intake.enqueue(job)).verdict == "ok"

    def succeed(self, num_jobs: int = 1) -> None:
        for job in self.queue.leases.claim(num_jobs, 0):
            assert self.queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"

    def secrets(self, *, rotate: bool = False) -> Sequence[str]:
        register = RedisSecretRegister(self.queue.url, RedisKeys())
        try:
            return register.rotate("default") if rotate else register.secrets("default")
        finally:
            register.close()

    def counted(self, outcome: str) -> float:
        return self.metrics.webhook_deliveries.labels(outcome)._value.get()
