from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from benchmark.run_layout import file_name


@given(st.text(max_size=300))
def test_never_leaves_its_folder(text: str) -> None:
    name = file_name(text)
    assert name and name not in (".", "..") and not name.startswith(".")
    assert Path(name).name == name and len(name.encode()) < 255
    assert not set(name) & set('/\\:*?"<>|\0\n')


@given(st.text(max_size=100), st.text(max_size=100))
def test_different_texts_get_different_names(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


def test_plain_names_stay() -> None:
    assert file_name("1P0A0917") == "1P0A0917"
    assert file_name("gkmnet.sim") == "gkmnet.sim"
