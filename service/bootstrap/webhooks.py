"""What sends a gateway's webhooks, and the secrets that sign them as an operator shows and changes them."""

from collections.abc import Sequence

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_webhooks import RedisSecretRegister, RedisWebhookQueue
from service.adapters.resolver import SystemResolver
from service.adapters.webhook_sender import HttpWebhookSender
from service.api.webhook_bodies import webhook_body
from service.bootstrap.process import VERSION
from service.bootstrap.queue import open_register
from service.gateway.receivers import Receivers
from service.gateway.webhooks import WebhookDispatcher
from service.settings import Settings
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import Tracer

# Between the end of a try and the word of it that reaches the queue, however busy the gateway is.
_LEASE_MARGIN_SECONDS = 45.0


class Webhooks:
    """Of one gateway's process: who may be called, and the calls.

    Attributes:
        receivers: checks what clients ask for.
        dispatcher: to be run in the process's event loop.
    """

    def __init__(self, settings: Settings, metrics: GatewayMetrics, tracer: Tracer | None = None) -> None:
        own = settings.webhooks
        # A resolver each, as names that clients give must not keep deliveries waiting.
        self.receivers = Receivers(SystemResolver(), is_development=own.development)
        sender = HttpWebhookSender(SystemResolver(), VERSION, own.timeout_seconds)
        lease_seconds = own.timeout_seconds + _LEASE_MARGIN_SECONDS
        self._queue = RedisWebhookQueue(settings.redis_url, RedisKeys(settings.queue.prefix), lease_seconds)
        self.dispatcher = WebhookDispatcher(
            self._queue, sender, webhook_body, metrics, is_development=own.development, tracer=tracer
        )

    async def aclose(self) -> None:
        """Close everything, once the dispatcher's `run` has ended."""
        await self.dispatcher.aclose()
        await self._queue.aclose()


def webhook_secrets(settings: Settings, tenant: str) -> Sequence[str]:
    """The tenant's good secrets, the present one first; StorageError if the queue does not answer."""
    with open_register(settings, RedisSecretRegister) as register:
        return register.secrets(tenant)


def rotate_webhook_secret(settings: Settings, tenant: str) -> Sequence[str]:
    """Likewise, after a new one has been made."""
    with open_register(settings, RedisSecretRegister) as register:
        return register.rotate(tenant)
