"""A pair file is read line by line; where it names several sources, the draw can be repeated."""

from pathlib import Path

import pytest

from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.pairs import Pair, read_pairs


@pytest.fixture
def pair_file(tmp_path: Path) -> Path:
    return tmp_path / "test_pairs.txt"


def test_pairs_when_read_then_in_order_with_line_numbers(pair_file: Path) -> None:
    pair_file.write_text("a.jpg,b.jpg\n\n c.jpg , d.jpg \r\n")

    assert read_pairs(pair_file, seed=0) == [Pair(0, 1, "a.jpg", "b.jpg"), Pair(1, 3, "c.jpg", "d.jpg")]


def test_pairs_when_there_are_several_sources_then_each_is_drawn_by_some_seed_and_the_same_by_the_same(
    pair_file: Path,
) -> None:
    pair_file.write_text("t,a,b,c\n")
    drawn = [read_pairs(pair_file, seed)[0].source for seed in range(40)]

    assert set(drawn) == {"a", "b", "c"}
    assert drawn == [read_pairs(pair_file, seed)[0].source for seed in range(40)]


def test_pairs_when_the_file_goes_on_then_earlier_draws_stay(pair_file: Path) -> None:
    pair_file.write_text("t,a,b,c\n" * 20)
    some = read_pairs(pair_file, seed=5)
    pair_file.write_text("t,a,b,c\n" * 40)

    assert read_pairs(pair_file, seed=5)[:20] == some
    assert len({pair.source for pair in some}) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no pair"),
        (b"\n\n", "holds no pair"),
        (b"a,b\nalone\n", ":2: not a pair"),
        (b"a,,b\n", ":1: not a pair"),
        (b",b\n", ":1: not a pair"),
        (b"a,.\n", ":1: not a pair"),
        (b"from,to\na,b\n", """:1: a table from,to; make pairs of it by awk -F, 'NR > 1 { print $2 "," $1 }'"""),
        (b"\xff\xfe\x00", "not text"),
        (None, "No such file or directory; give the pair file with --pairs"),
    ],
)
def test_pairs_when_the_file_is_wrong_then_refused_in_one_line(
    pair_file: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        pair_file.write_bytes(content)

    with pytest.raises(InputError) as refused:
        read_pairs(pair_file, seed=0)

    assert str(refused.value).startswith(str(pair_file))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
