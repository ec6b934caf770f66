"""The model that this deployment serves, as clients see it.

It loads nothing: `service.bootstrap` fills it from the repository's manifest.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServedModel:
    """The one variant behind the queue.

    Attributes:
        name: of the variant, such as `tiny`.
        digest: `sha256:<hex>` over all graphs.
        is_trained: False for placeholder weights, whose pictures are noise.
        weights_origin: where the weights come from, for people.
    """

    name: str
    digest: str
    is_trained: bool
    weights_origin: str
