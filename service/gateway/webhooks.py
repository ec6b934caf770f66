"""The dispatcher: plans deliveries, claims those whose time has come, has them sent, and says what came of it.

Every gateway runs one; the queue gives each delivery to one of them at a time. It opens no connection itself.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from service.domain.errors import StorageError
from service.domain.trace_context import TraceContext
from service.domain.webhook import RETRY_SECONDS, parse_receiver, signature
from service.ports.webhooks import Delivery, ReceiverAnswer, WebhookQueue, WebhookSender
from service.telemetry.logs import get_logger, traced_lines
from service.telemetry.metrics import GatewayMetrics, WebhookOutcome
from service.telemetry.spans import Span, Tracer

# Mostly waiting for the network. One receiver gets a few of them at most, so dozens may hang before others wait.
_MAX_AT_ONCE = 256
_LOOK_EVERY_SECONDS = 0.5
_FAULT_PAUSE_SECONDS = 1.0
# At a stop, calls that have been made may come to their end: cut off, they would be made again.
_GOODBYE_SECONDS = 2.0
_CANCEL_PATIENCE_SECONDS = 0.1
# Pauses grow by up to this share, so that what failed at one time is not repeated at one time.
_JITTER = 0.1
_GONE = 410
# A receiver must not keep its deliveries here for ever.
_MAX_RETRY_AFTER_SECONDS = 14 * 3600.0
BodyOf = Callable[[Delivery], bytes]


class WebhookDispatcher:
    """The deliveries of one process; `run` goes on until it is cancelled."""

    def __init__(
        self,
        queue: WebhookQueue,
        sender: WebhookSender,
        body_of: BodyOf,
        metrics: GatewayMetrics,
        *,
        is_development: bool = False,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        look_every_seconds: float = _LOOK_EVERY_SECONDS,
        tracer: Tracer | None = None,
    ) -> None:
        """Do nothing yet.

        Args:
            queue: where deliveries come from.
            sender: how they leave.
            body_of: what is sent.
            metrics: of the process.
            is_development: as of `parse_receiver`.
            retry_seconds: the pauses between tries; after the last one a delivery is given up.
            look_every_seconds: how soon after a change its delivery is noticed.
            tracer: of the process, if tries are traced.
        """
        self._queue = queue
        self._sender = sender
        self._body_of = body_of
        self._metrics = metrics
        self._is_development = is_development
        self._retry_seconds = retry_seconds
        self._look_every_seconds = look_every_seconds
        self._tracer = tracer
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Deliver. Outages are waited out, and whatever else goes wrong too."""
        while True:
            pause_seconds = self._look_every_seconds
            try:
                if await self._start_due():
                    continue
            except StorageError as error:
                self._metrics.count_outage(error)
            except Exception:
                # Without this duty the gateway would look well, and nobody would be told anything.
                get_logger().exception("webhooks_failed")
                pause_seconds = _FAULT_PAUSE_SECONDS
            await asyncio.sleep(pause_seconds)

    async def aclose(self) -> None:
        """Once `run` has ended: let what is being sent come to its end, but not for long."""
        if self._running:
            await asyncio.wait(self._running, timeout=_GOODBYE_SECONDS)
        while self._running:
            # More than once: while it opens a connection, the Redis client may swallow a cancellation.
            for task in tuple(self._running):
                task.cancel()
            await asyncio.wait(self._running, timeout=_CANCEL_PATIENCE_SECONDS)

    async def _start_due(self) -> bool:
        """Begin what can be begun; whether there may be more at once."""
        is_more = await self._queue.plan()
        room = _MAX_AT_ONCE - len(self._running)
        if room <= 0:
            return False
        deliveries = await self._queue.claim(room)
        for delivery in deliveries:
            task = asyncio.create_task(self._try(delivery), name=f"webhook {delivery.id}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return is_more or bool(deliveries)

    async def _try(self, delivery: Delivery) -> None:
        with traced_lines(delivery.trace):
            await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        """One try. What is not said to the queue is given to somebody again when the lease is over."""
        try:
            answer = await self._send(delivery)
            await self._settle(delivery, answer)
        except StorageError as error:
            self._metrics.count_outage(error)
        except Exception:
            # The others go on. This one is settled too: it would be tried with every lease, whatever the schedule says.
            get_logger().exception("webhook_failed", delivery=delivery.id)
            with suppress(StorageError):
                await self._settle(delivery, ReceiverAnswer(detail="a fault of this gateway"))

    async def _send(self, delivery: Delivery) -> ReceiverAnswer:
        try:
            receiver = parse_receiver(delivery.url, is_development=self._is_development)
        except ValueError:
            return ReceiverAnswer(is_blocked=True, detail="the address is not one that may be called here")
        secrets = await self._queue.secrets(delivery.about.tenant)
        body, now = self._body_of(delivery), int(time.time())
        headers = [
            ("webhook-id", delivery.id),
            ("webhook-timestamp", str(now)),
            ("webhook-signature", signature(secrets, delivery.id, now, body)),
        ]
        if delivery.trace is None:
            return await self._sender.send(receiver, headers, body)
        span = self._begin_span(delivery, delivery.trace)
        headers.append(("traceparent", (span.context if span else delivery.trace).traceparent))
        answer = await self._sender.send(receiver, headers, body)
        if span is not None:
            error = "" if 200 <= answer.status < 300 else str(answer.status or "no_answer")
            span.end({"http.response.status_code": answer.status} if answer.status else {}, error=error)
        return answer

    def _begin_span(self, delivery: Delivery, trace: TraceContext) -> Span | None:
        if self._tracer is None:
            return None
        attributes = {"xmdpt.event": delivery.event, "xmdpt.webhook_id": delivery.id, "xmdpt.try": delivery.num_tries}
        return self._tracer.begin("webhook", "client", trace, attributes)

    async def _settle(self, delivery: Delivery, answer: ReceiverAnswer) -> None:
        outcome, pause_seconds = self._outcome(delivery, answer)
        if outcome == "retried":
            await self._queue.put_off(delivery, pause_seconds)
        else:
            await self._queue.end(delivery, "disabled" if outcome == "disabled" else "ended")
        # Only now: what the queue does not know yet is tried again, and counted then.
        self._metrics.webhook_deliveries.labels(outcome).inc()
        if answer.is_blocked:
            self._metrics.webhook_blocked.inc()
        if outcome != "delivered":
            get_logger().warning(
                "webhook_not_taken",
                delivery=delivery.id,
                job=delivery.about.id,
                tries=delivery.num_tries,
                outcome=outcome,
                detail=answer.detail,
            )

    def _outcome(self, delivery: Delivery, answer: ReceiverAnswer) -> tuple[WebhookOutcome, float]:
        """What is to become of it, and after which pause it is tried again."""
        if 200 <= answer.status < 300:
            return "delivered", 0.0
        if answer.status == _GONE:
            return "disabled", 0.0
        if delivery.num_tries > len(self._retry_seconds):
            return "given_up", 0.0
        pause_seconds = self._retry_seconds[delivery.num_tries - 1]
        if answer.retry_after_seconds is not None:
            pause_seconds = max(pause_seconds, min(answer.retry_after_seconds, _MAX_RETRY_AFTER_SECONDS))
        return "retried", pause_seconds * random.uniform(1.0, 1.0 + _JITTER)
