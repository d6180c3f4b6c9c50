"""What leaves a machine holds no path of it, and says the same."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

import hypothesis.strategies as st
import pytest
from hypothesis import given

from benchmark.registry import DATASETS, METHODS, PROTOCOLS
from benchmark.results import publication
from benchmark.results.publication import publish_id, publish_ids, shorten_paths
from benchmark.stored_cards import describe_protocol

STEP = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,8}[A-Za-z0-9]", fullmatch=True)
WORD = st.from_regex(r"[A-Za-z0-9]{2,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no file /home/me/data/x.png here", "no file x.png here"),
        ("(/tmp/x)", "(x)"),
        ("'~/x/y' and ~me/z", "'y' and z"),
        (r"C:\Users\me\x.png: bad", "x.png: bad"),
        ("../up/b.png", "b.png"),
        ("tcp://fermi:8786 is gone", "ADDRESS is gone"),
        ("see https://github.com/a/b", "see https://github.com/a/b"),
        ("x / y, [0, 1]/255, train/source, 1/2 MP", "x / y, [0, 1]/255, train/source, 1/2 MP"),
    ],
)
def test_paths_in_texts_become_their_last_part(text: str, expected: str) -> None:
    assert shorten_paths(text) == expected == shorten_paths(expected)


@given(steps=st.lists(WORD, min_size=2, max_size=5), data=st.data())
def test_no_absolute_path_is_left_in_a_text(steps: list[str], data: st.DataObject) -> None:
    windows = data.draw(st.booleans())
    path = str(PureWindowsPath("C:/", *steps) if windows else PurePosixPath("/", *steps))
    around = data.draw(st.sampled_from(["{}", "no {}", "'{}'", "file={}, x", "({})", "{}: bad"]))
    assert shorten_paths(around.format(path)) == around.format(steps[-1])


@given(folders=st.lists(STEP, min_size=1, max_size=4), name=WORD)
def test_ids_lose_the_folders_of_their_paths(folders: list[str], name: str) -> None:
    for path in ("/" + "/".join([*folders, name]), "C:\\" + "\\".join([*folders, name])):
        assert publish_id(f"folder:path={path},views=true") == f"folder:path={name},views=true"
        assert publish_id(f"jnb:psf=file:{path}") == f"jnb:psf=file:{name}"
    assert publish_id(f"folder:path={name}") == f"folder:path={name}"


@given(
    st.sets(
        st.tuples(WORD, st.sampled_from(["a", "b"])).map(lambda it: f"folder:path=/{it[0]}/{it[1]}")
    )
)
def test_different_ids_stay_different(ids: set[str]) -> None:
    names = publish_ids({*ids, "folder:path=a", "plain"})
    assert len(set(names.values())) == len(names)
    assert names["folder:path=a"] == "folder:path=a" and names["plain"] == "plain"
    assert not any("/" in name for name in names.values())


def test_command_lines_lose_folders_and_addresses() -> None:
    command = (
        "python -m benchmark run --methods input,pictures:path=/a/b,name=X --dataset "
        "'folder:path=/home/my name/p' --noise 0,1 --out=/tmp/q --scheduler fermi:8786"
    )
    assert publication.publish_command_line(command) == (
        "python -m benchmark run --methods input,pictures:path=b,name=X --dataset folder:path=p "
        "--noise 0,1 --out=q --scheduler ADDRESS"
    )


def test_facts_that_nobody_released_stay_at_home() -> None:
    facts = publication.publish_provenance(
        {
            "suite": "1", "host": "fermi", "environment": {"numpy": "2", "processor": "EPYC"},
            "machine": {"system": "Linux-6.1-fermi", "cores": 2, "address": "10.0.0.1"},
        }
    )  # fmt: skip
    assert facts == {
        "suite": "1", "environment": {"numpy": "2", "processor": "EPYC"},
        "machine": {"system": "Linux", "cores": 2},
    }  # fmt: skip
    assert publication.publish_provenance(facts) == facts


def test_cards_of_the_suite_stay_as_they_are() -> None:
    cards = [METHODS.get(name).card for name in METHODS.names()]
    cards += [DATASETS.get(name).card for name in DATASETS.names()]
    cards += [describe_protocol(PROTOCOLS.get(name)) for name in PROTOCOLS.names()]
    real_cards = [card for card in cards if hasattr(card, "title")]
    assert len(real_cards) > 30
    for card in real_cards:
        assert publication._publish_card(card) == card


def test_the_suite_records_no_fact_that_is_not_decided_on() -> None:
    """A new fact of provenance is left out of bundles until somebody puts it on a list."""
    from benchmark.provenance import collect_provenance

    known = {
        "command", "machine", *publication._PLAIN_FACTS, *publication._FACTS_OF_DATASETS,
        *publication._FACTS_OF_METHODS,
    }  # fmt: skip
    assert set(collect_provenance()) <= known
    assert re.search(r"[/\\]", str(publication.publish_provenance(collect_provenance()))) is None
