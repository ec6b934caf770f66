"""Single calls of many graphs of a repository, compared with torch."""

from collections.abc import Callable, Sequence
from pathlib import Path

from export.graphs import GRAPHS
from export.verify import BATCH_SIZES, GraphError, check_graph
from xmdpt.nn.pipeline import Networks
from xmdpt.repository import load_manifest


def graph_errors(
    root: Path,
    networks: Callable[[], Networks],
    batch_sizes: Sequence[int] = BATCH_SIZES,
    graphs: Sequence[str] = tuple(GRAPHS),
) -> list[GraphError]:
    """The errors of every output of every call."""
    manifest = load_manifest(root)
    return [error for name in graphs for error in check_graph(root, manifest, networks, name, batch_sizes).errors]
