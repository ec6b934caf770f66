"""Sides take turns, each as often as the others, and leave torch as it was."""

import pytest
import torch

from benchmarks.turns import cpu_seconds, take_turns
from xmdpt.nn.threads import one_thread


def test_sides_when_they_take_turns_then_after_a_warm_up_every_round_has_all_in_changing_order() -> None:
    calls: list[str] = []
    lines: list[str] = []

    seconds = take_turns({name: lambda name=name: calls.append(name) for name in "zab"}, 3, lines.append)

    assert "".join(calls) == "zab" + "zab" + "baz" + "zab"
    assert list(seconds) == ["z", "a", "b"]
    assert {len(taken) for taken in seconds.values()} == {3}
    assert [line.partition(":")[0] for line in lines] == ["round 1 of 3", "round 2 of 3", "round 3 of 3"]


def test_time_when_something_runs_then_it_is_the_processors_own() -> None:
    assert cpu_seconds(lambda: sum(range(200_000))) > 0


def test_torch_when_kept_to_one_thread_then_it_gets_its_threads_back_whatever_happens() -> None:
    before, inside = torch.get_num_threads(), []

    @one_thread()
    def fail() -> None:
        inside.append(torch.get_num_threads())
        raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert inside == [1]
    assert torch.get_num_threads() == before
