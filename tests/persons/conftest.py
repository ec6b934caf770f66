"""Persons that several tests look at."""

import pytest

from xmdpt.persons.domain import DEMO, VARIED
from xmdpt.persons.render import Pair, render_pair

SEEDS = range(40)


@pytest.fixture(scope="session")
def demo_pairs() -> list[Pair]:
    """People of the demo's domain; not to be changed."""
    return [render_pair(seed, DEMO) for seed in SEEDS]


@pytest.fixture(scope="session")
def varied_pairs() -> list[Pair]:
    """People of every kind; not to be changed."""
    return [render_pair(seed, VARIED) for seed in SEEDS]
