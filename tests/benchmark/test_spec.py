import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.api import UsageError
from benchmark.spec import Spec, parse_id, parse_ids
from tests.benchmark.hostile_pictures import UNPRINTABLE_NAMES

WORD = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
SPECS = st.builds(
    Spec,
    WORD,
    st.none() | WORD,
    st.dictionaries(WORD, st.from_regex(r"[a-z0-9./]{1,6}", fullmatch=True)),
)


@given(SPECS)
def test_text_and_back(spec: Spec) -> None:
    assert parse_id(str(spec)) == spec


@given(st.lists(SPECS, min_size=1, max_size=5))
def test_comma_list_and_back(specs: list[Spec]) -> None:
    assert parse_ids([",".join(map(str, specs))]) == specs


def test_an_item_with_equals_belongs_to_the_id_before_it() -> None:
    found = parse_ids(["input,ebdb:psf=disk,iterations=3", "jnb,mine,k=2"])
    assert found == [
        Spec("input"),
        Spec("ebdb", None, {"psf": "disk", "iterations": "3"}),
        Spec("jnb"),
        Spec("mine", None, {"k": "2"}),
    ]


def test_checkpoint_and_path_values() -> None:
    assert parse_id("gkmnet.sim:bn=batch") == Spec("gkmnet", "sim", {"bn": "batch"})
    assert parse_id("folder:path=C:\\x, y/b,pair=name").parameters == {
        "path": "C:\\x, y/b",
        "pair": "name",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (":a=1", "no name"),
        ("a:b", "not key=value"),
        ("a:x=1,x=2", "twice"),
        ("a:=1", "not key=value"),
    ],
)
def test_bad_ids_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_id(text)


def test_an_empty_list_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least one id"):
        parse_ids([" , "])


@pytest.mark.parametrize("name", UNPRINTABLE_NAMES)
def test_what_cannot_be_printed_is_no_id(name: bytes) -> None:
    text = f"folder:path={os.fsdecode(name)}x"
    with pytest.raises(UsageError, match="cannot be printed") as caught:
        parse_id(text)
    assert str(caught.value).isprintable()
