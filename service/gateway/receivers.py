"""Whether a client's webhook may be taken: its address, and every address of its name.

What a name answers later is looked at again when it is called (`service.ports.webhooks.WebhookSender`).
"""

import json
from collections.abc import Mapping

from service.domain.addresses import is_public
from service.domain.errors import OverloadedError, RequestError
from service.domain.webhook import MAX_METADATA_BYTES, Webhook, parse_receiver
from service.ports.webhooks import Resolver

_POINTER = "/webhook/url"
# A name server that is down is seldom back at once, and each look-up may hold a thread for that long.
_LOOK_UP_AGAIN_SECONDS = 5.0


def check_metadata(metadata: Mapping[str, str]) -> None:
    """RequestError `validation` for metadata that is too long to be told."""
    if len(json.dumps(dict(metadata), ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
        detail = f"may have {MAX_METADATA_BYTES} bytes as JSON beside a webhook, which tells it"
        raise RequestError.of_field("validation", "/metadata", detail)


class Receivers:
    """The rule of one deployment."""

    def __init__(self, resolver: Resolver, *, is_development: bool = False) -> None:
        self._resolver = resolver
        self._is_development = is_development

    async def check(self, webhook: Webhook, metadata: Mapping[str, str]) -> None:
        """Refuse what can't be called, or what would not fit into a call.

        Raises:
            RequestError: `webhook_url`; `validation` for metadata that is too long to be told.
            OverloadedError: `overloaded`: nobody can say now which addresses the name has.
        """
        check_metadata(metadata)
        try:
            receiver = parse_receiver(webhook.url, is_development=self._is_development)
        except ValueError as error:
            raise RequestError.of_field("webhook_url", _POINTER, str(error)) from None
        if not receiver.is_tls:
            return
        addresses = await self._resolver.addresses(receiver.host, receiver.port)
        if addresses is None:
            detail = "the name of the webhook's host can't be looked up at present; nothing was kept, try again later"
            raise OverloadedError("overloaded", detail, _LOOK_UP_AGAIN_SECONDS)
        if not addresses:
            raise RequestError.of_field("webhook_url", _POINTER, "must name a host that has an address")
        # Which address it is stays here: it would tell of the network that this stands in.
        if not all(map(is_public, addresses)):
            raise RequestError.of_field("webhook_url", _POINTER, "must name a host with public addresses only")


async def check_webhook(receivers: Receivers | None, webhook: Webhook, metadata: Mapping[str, str]) -> None:
    """As `Receivers.check`; without any, webhooks are not available."""
    if receivers is None:
        raise RequestError.of_field("webhook_url", "/webhook", "is not available here")
    await receivers.check(webhook, metadata)
