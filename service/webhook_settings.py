"""The settings of webhooks, a group of `service.settings`."""

from pydantic import BaseModel, ConfigDict, Field


class WebhookSettings(BaseModel):
    """Webhooks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    development: bool = Field(
        default=False, description="Also take `http://` to 127.0.0.1 and [::1], at any port: for trying them out."
    )
    timeout_seconds: float = Field(
        default=15.0, ge=0.1, le=60, description="Longest time of one try, seconds, from the name to the answer."
    )
