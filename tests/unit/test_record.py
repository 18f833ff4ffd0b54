"""Records: the same however many there are, and whether or not their constructor has been compiled."""

from __future__ import annotations

import dataclasses

import pytest

from crtool.record import compile_init, dataclass, replace


def kind() -> type:
    @dataclass(frozen=True)
    class Pair:
        left: int
        right: str = "none"

        def __post_init__(self) -> None:
            if self.left < 0:
                raise ValueError("negative")

    return Pair


@pytest.mark.parametrize("compiled", [False, True])
def test_all_ways_to_make_one(compiled: bool):
    pair = kind()
    if compiled:
        compile_init(pair)

    made = [pair(1, "none"), pair(1, right="none"), pair(right="none", left=1), pair(1)]

    assert made == [made[0]] * 4
    assert {"left": 1, "right": "none"} == dataclasses.asdict(made[2])
    assert "Pair(left=1, right='none')" == repr(made[1]).rpartition(".")[2]


@pytest.mark.parametrize("before", [0, 100])
@pytest.mark.parametrize(
    ("words", "named"), [((), {}), ((1, "a", 2), {}), ((1,), {"wrong": 2}), ((1, "a"), {"left": 1})]
)
def test_wrong_arguments_are_errors_as_of_any_class(before: int, words: tuple[object, ...], named: dict[str, object]):
    pair = kind()
    for number in range(before):
        pair(number, "x")

    with pytest.raises(TypeError):
        pair(*words, **named)


def test_the_hundredth_is_like_the_first():
    pair = kind()
    made = [pair(number, "x") for number in range(100)]

    assert [(number, "x") for number in range(100)] == [(one.left, one.right) for one in made]
    with pytest.raises(dataclasses.FrozenInstanceError):
        made[99].left = 3


@pytest.mark.parametrize("before", [0, 100])
def test_what_a_class_checks_itself_is_checked(before: int):
    pair = kind()
    for number in range(before):
        pair(number, "x")

    with pytest.raises(ValueError, match="negative"):
        pair(-1, "x")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_each_gets_a_default_of_its_own_from_a_factory(compiled: bool, asked: bool):
    @dataclass
    class Basket:
        name: str
        fruit: list[str] = dataclasses.field(default_factory=list)

    if asked:
        assert ["name", "fruit"] == [each.name for each in dataclasses.fields(Basket)]
    if compiled:
        compile_init(Basket)
    mine, theirs, given = Basket("mine"), Basket("theirs"), Basket("given", ["plum"])
    mine.fruit.append("apple")

    assert [["apple"], [], ["plum"]] == [mine.fruit, theirs.fruit, given.fruit]
    assert Basket("theirs", ["pear"]) == dataclasses.replace(theirs, fruit=["pear"])


def test_what_is_not_frozen_changes_and_has_no_hash():
    @dataclass
    class Counter:
        number: int = 0

    counter = Counter()
    counter.number += 1

    assert Counter(1) == counter
    with pytest.raises(TypeError):
        hash(counter)


def test_a_copy_differs_in_what_was_asked_for_and_is_checked_like_any():
    pair = kind()
    one = pair(1, "x")

    assert pair(2, "x") == replace(one, left=2)
    assert pair(1, "x") == one
    with pytest.raises(ValueError, match="negative"):
        replace(one, left=-1)
    with pytest.raises(TypeError):
        replace(one, middle=0)
