"""Do the steps of an ensemble make of its inputs what the graphs in a row make of them?

Knows tensors and who makes and takes them; the other fields of a configuration are `export.config_checks`'s.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xmdpt.spec import GraphSpec, TensorSpec, ensemble_spec

_HERE = "`ensemble_scheduling`"


@dataclass(frozen=True)
class _Origin:
    """Who makes a tensor of the ensemble, as what; no step for the ensemble's own inputs."""

    step: int | None
    tensor: TensorSpec


def ensemble_mistakes(config: Any, specs: Mapping[str, GraphSpec], max_rows: Mapping[str, int]) -> Iterable[str]:
    """Say what is wrong with an ensemble's steps and batch size, gravest first.

    Tensors between steps may have any names. What a graph takes must have been made under the name that it has in that
    graph: wherever two graphs name a tensor alike, it is the same.

    Args:
        config: Triton's message.
        specs: of all graphs of the repository, by name.
        max_rows: most rows of one call of each, as their own configurations say.
    """
    steps = list(config.ensemble_scheduling.step)
    if not steps:
        yield f"{_HERE} has no steps"
        return
    mistakes = [*_step_mistakes(steps, specs)]
    yield from mistakes
    # What follows looks graphs and tensors up.
    if not mistakes:
        yield from _tensor_mistakes(steps, specs)
        most = min(max_rows[step.model_name] for step in steps)
        if not 1 <= config.max_batch_size <= most:
            yield f"`max_batch_size` is {config.max_batch_size}, its steps take 1 to {most} rows"


def _step_mistakes(steps: Iterable[Any], specs: Mapping[str, GraphSpec]) -> Iterable[str]:
    for step in steps:
        name = step.model_name
        if name not in specs:
            yield f"{_HERE} names the model {name!r}, which is not in the repository"
            continue
        if step.model_version not in (-1, 1) or step.model_namespace:
            yield f"{_HERE}, {name}: model_version must be -1 and model_namespace left out"
        yield from _unmapped(f"{_HERE}, {name}: input", step.input_map.keys(), specs[name].inputs)
        yield from _unmapped(f"{_HERE}, {name}: output", step.output_map.keys(), specs[name].outputs)


def _unmapped(here: str, mapped: Collection[str], tensors: Iterable[TensorSpec]) -> Iterable[str]:
    names = {tensor.name for tensor in tensors}
    for name in sorted(names.symmetric_difference(mapped)):
        yield f"{here} {name} is {'not mapped' if name in names else 'not one of the graph'}"


def _tensor_mistakes(steps: Sequence[Any], specs: Mapping[str, GraphSpec]) -> Iterable[str]:
    ensemble = ensemble_spec()
    origins = {tensor.name: _Origin(None, tensor) for tensor in ensemble.inputs}
    for index, step in enumerate(steps):
        for tensor in specs[step.model_name].outputs:
            name = step.output_map[tensor.name]
            if name in origins:
                yield f"{_HERE}, {step.model_name}: output {tensor.name} is {name}, which there is already"
            origins[name] = _Origin(index, tensor)
    taken = [
        (f"{_HERE}, {step.model_name}: input {tensor.name}", step.input_map[tensor.name], tensor)
        for step in steps
        for tensor in specs[step.model_name].inputs
    ]
    taken += [(f"{_HERE}: the output {tensor.name}", tensor.name, tensor) for tensor in ensemble.outputs]
    for place, source, _ in taken:
        if source not in origins:
            yield f"{place} is {source}, which nothing makes"
    for name in sorted(origins.keys() - {source for _, source, _ in taken}):
        yield f"{_HERE}: nothing takes {name}"
    if waiting := _waiting_for_each_other(steps, origins):
        yield f"{_HERE}: {', '.join(waiting)} can never begin, as each takes what one of them makes"
    for place, source, tensor in taken:
        if source in origins and (mistake := _edge_mistake(origins[source].tensor, tensor)):
            yield f"{place} is {source}, {mistake}"


def _edge_mistake(made: TensorSpec, taken: TensorSpec) -> str:
    if (made.dtype, made.shape) != (taken.dtype, taken.shape):
        return f"{made.dtype} {list(made.shape)} in the place of {taken.dtype} {list(taken.shape)}"
    return "" if made.name == taken.name else f"which is made as {made.name}"


def _waiting_for_each_other(steps: Sequence[Any], origins: Mapping[str, _Origin]) -> list[str]:
    sources = [{origins[name].step for name in step.input_map.values() if name in origins} for step in steps]
    waiting = set(range(len(steps)))
    while ready := {index for index in waiting if not sources[index] & waiting}:
        waiting -= ready
    return [steps[index].model_name for index in sorted(waiting)]
