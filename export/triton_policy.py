"""How Triton queues, batches, runs, warms up and caches a graph: what an engineer may tune afterwards.

Does not say what the graph is (`export.triton_config`). Batches are what waits when an instance is free; no request
waits for others. A step of the denoiser would pay such a delay at each step, and while a loop runs, the requests for
the next one gather anyway.
"""

from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import model_config_pb2

PRIORITIES = ("interactive", "batch")
"""What a request's priorities 1 and 2 mean; without one it has the first."""

# Its classes are made when it is imported, so that no type checker knows them.
_pb: Any = model_config_pb2
# Requests that may wait, and seconds: whoever asks in person has gone by then. 1280 photos are 250 MB.
_QUEUES = {"interactive": (256, 60), "batch": (1024, 600)}
# The same photo or pose gives the same vector, and one photo meets many poses.
_CACHED_GRAPHS = ("source_encoder", "pose_encoder")
# One row through canet is less work than waking threads.
_SINGLE_THREADED_GRAPHS = ("canet",)
_ALL_CORES = "0"
# As few as there are in which one follows on another.
_WARMUP_STEPS = 2
# A CUDA graph holds no loop.
_LOOPS = ("sampler",)


def profile_sizes(max_rows: int) -> Sequence[int]:
    """Return the batch sizes that a TensorRT engine is tuned for, if none are named: powers of 2 and the largest."""
    return [*(2**power for power in range(max_rows.bit_length()) if 2**power < max_rows), max_rows]


def set_for_cpu(config: Any) -> None:
    """Complete the description of a graph for servers without GPUs."""
    _set_queues(config)
    config.instance_group.add(count=1, kind=_pb.ModelInstanceGroup.KIND_CPU)
    # Who comes first is served first: rows of other requests in the same batch would only make it wait.
    config.dynamic_batching.preferred_batch_size.append(1)
    threads = "1" if config.name in _SINGLE_THREADED_GRAPHS else _ALL_CORES
    config.parameters["intra_op_thread_count"].string_value = threads
    # A batch takes as long as its rows one by one, minutes for the large encoders.
    _set_warmup(config, [1])


def set_for_gpu(config: Any, profiles: Sequence[int] = ()) -> None:
    """Complete the description of a graph for servers with GPUs.

    Args:
        config: Triton's message.
        profiles: the largest batch of each of an engine's profiles, rising; empty if it is no engine.
    """
    _set_queues(config)
    config.instance_group.add(count=1, kind=_pb.ModelInstanceGroup.KIND_GPU)
    _set_warmup(config, sorted({1, config.max_batch_size}))
    if profiles:
        config.instance_group[0].profile.extend(str(index) for index in range(len(profiles)))
        config.dynamic_batching.preferred_batch_size.extend(profiles)
        if config.name not in _LOOPS:
            _set_cuda_graphs(config, profiles)


def _set_queues(config: Any) -> None:
    """A bounded queue for each priority; a client's own timeout counts where it is shorter."""
    interactive, batch = (
        _pb.ModelQueuePolicy(
            timeout_action=_pb.ModelQueuePolicy.REJECT,
            default_timeout_microseconds=seconds * 1_000_000,
            allow_timeout_override=True,
            max_queue_size=size,
        )
        for size, seconds in (_QUEUES[priority] for priority in PRIORITIES)
    )
    config.dynamic_batching.priority_levels = len(PRIORITIES)
    config.dynamic_batching.default_priority_level = 1
    config.dynamic_batching.default_queue_policy.CopyFrom(interactive)
    config.dynamic_batching.priority_queue_policy[2].CopyFrom(batch)
    if config.name in _CACHED_GRAPHS:
        config.response_cache.enable = True


def _set_warmup(config: Any, batch_sizes: Sequence[int]) -> None:
    """Batches of zeros: for random numbers Triton takes random bytes, among them some that are none."""
    for rows in batch_sizes:
        warmup = config.model_warmup.add(name=f"batch of {rows}", batch_size=rows)
        for tensor in config.input:
            given = warmup.inputs[tensor.name]
            given.data_type, given.zero_data = tensor.data_type, True
            given.dims.extend(_WARMUP_STEPS if size < 0 else size for size in tensor.dims)


def _set_cuda_graphs(config: Any, profiles: Sequence[int]) -> None:
    """One for each profile, which also runs the batches that are smaller, down to the next profile's."""
    config.optimization.cuda.graphs = True
    least = 1
    for size in profiles:
        spec = config.optimization.cuda.graph_spec.add(batch_size=size)
        spec.graph_lower_bound.batch_size = least
        for tensor in config.input:
            spec.input[tensor.name].dim.extend(tensor.dims)
            spec.graph_lower_bound.input[tensor.name].dim.extend(tensor.dims)
        least = size + 1
