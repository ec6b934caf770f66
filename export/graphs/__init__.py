"""One trace-safe module for each graph of `xmdpt.spec.graph_specs`, made of a variant's networks.

They hold what belongs to the border only: pixels to numbers and back, guidance, the sampler's row. The mathematics of
the model is in `xmdpt.nn`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from export.graphs.canet import CanetGraph
from export.graphs.pose_encoder import PoseEncoderGraph
from export.graphs.sampler import SamplerGraph
from export.graphs.source_encoder import SourceEncoderGraph
from export.graphs.tdnet_step import TdnetStepGraph
from export.graphs.vae_decoder import VaeDecoderGraph
from xmdpt.nn.pipeline import Networks
from xmdpt.spec import LOW_GRAPHS

GRAPHS: Mapping[str, Callable[[Networks], nn.Module]] = MappingProxyType(
    {
        "source_encoder": SourceEncoderGraph,
        "pose_encoder": PoseEncoderGraph,
        "canet": CanetGraph,
        "tdnet_step": TdnetStepGraph,
        "sampler": SamplerGraph,
        "vae_decoder": VaeDecoderGraph,
    }
)
"""How each graph is made of the networks; its `forward` takes and returns what the contract names, in that order."""


def module_of(graph: str) -> Callable[[Networks], nn.Module]:
    """How a graph of a repository is made; a low one is another in low precision."""
    return GRAPHS[LOW_GRAPHS.get(graph, graph)]
