"""Nobody edits what results depend on without raising a version or saying that results are the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.source_digests import (
    SUITE,
    SourceTable,
    digest_file,
    digest_source_text,
    explain_changes,
    format_table,
    list_data_files,
    list_files,
    read_sources,
    read_table,
)


@pytest.fixture(scope="module")
def sources() -> tuple[SourceTable, dict[str, set[str]]]:
    return read_sources()


def test_what_was_edited_has_another_version_or_is_confirmed(
    sources: tuple[SourceTable, dict[str, set[str]]],
) -> None:
    current, files_of_items = sources
    changes = explain_changes(read_table(), current, files_of_items)
    assert not changes, changes


def test_all_that_ships_is_in_the_table_with_its_own_file(
    sources: tuple[SourceTable, dict[str, set[str]]],
) -> None:
    current, files_of_items = sources
    expected = {
        "method jnb": {"methods/two_stage/jnb_dictionary.npz", "methods/two_stage/matting.py"},
        "method blur-posterior": {"methods/two_stage/blur_posterior.json", "optics/light.py"},
        "method restormer": {"methods/learned/networks/restormer.py"},
        "data set dpd": {"datasets/dpd.py", "datasets/dpd_splits.csv", "imageio/png.py"},
        "data set eval-lens": {"optics/lenses/ray_traced.npz"},
        "metric ssim": {"metrics/ssim.py"},
        "protocol canonical": {"metrics/published_protocols.py", "metrics/tracks.py"},
    }
    for item, files in expected.items():
        assert files <= files_of_items[item], item
        assert item in current.versions
    assert "methods/two_stage/jnb.py" not in files_of_items["method unsharp"]


def test_no_constant_and_no_list_is_left_out(
    sources: tuple[SourceTable, dict[str, set[str]]],
) -> None:
    assert len(list_data_files()) >= 5
    assert set(list_data_files()) <= set(sources[0].digests)


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        (lambda text: text.replace("0.5", "0.25"), True),
        (lambda text: text.replace("a + b", "a - b"), True),
        (lambda text: text.replace("'even'", "'odd'"), True),
        (lambda text: text.replace("# why", "# why not"), False),
        (lambda text: text.replace("Add them.", "Return the sum."), False),
        (lambda text: text.replace("0.5 *", "(0.5) * \\\n        "), False),
        (lambda text: text.replace("Half of it.", "What is halved."), False),
        (lambda text: text.replace("too small", "is too small"), False),
    ],
)
def test_only_what_a_program_does_counts(edit: Callable[[str], str], counts: bool) -> None:
    text = (
        "HALF = 0.5\n'''Half of it.'''\n"
        "def add(a, b, mode='even'):\n"
        "    '''Add them.'''\n"
        "    if a < 0:\n"
        "        raise ValueError(f'{a} too small')\n"
        "    return 0.5 * (a + b)  # why\n"
    )
    edited = edit(text)
    assert edited != text
    assert (digest_source_text(edited) != digest_source_text(text)) is counts


def test_a_syntax_has_one_digest_in_every_version_of_python() -> None:
    """Computed with 3.11; the CI has others."""
    text = (
        "def f(x: int = 1, *, y='a') -> str:\n"
        "    return f'{x:>{y}} and {x!r}' 'more' if x else [i async for i in y][1:, ...]\n"
    )
    assert digest_source_text(text) == "9c948808bf08"


def test_an_edit_names_what_must_have_another_version() -> None:
    committed = SourceTable({"method a": "1", "method b": "1"}, {"a.py": "0", "both.py": "1"})
    files = {"method a": {"a.py", "both.py"}, "method b": {"both.py"}}
    edited = SourceTable(committed.versions, {"a.py": "0", "both.py": "2"})
    message = explain_changes(committed, edited, files)
    assert "  both.py: method a, method b\n" in message and "--confirm" in message
    raised = SourceTable({"method a": "2", "method b": "1"}, edited.digests)
    assert "  both.py: method b\n" in explain_changes(committed, raised, files)
    all_raised = SourceTable({"method a": "2", "method b": "2"}, edited.digests)
    assert "not up to date" in explain_changes(committed, all_raised, files)
    new_file = SourceTable(committed.versions, {**committed.digests, "new.py": "3"})
    files["method a"].add("new.py")
    assert "  new.py: method a\n" in explain_changes(committed, new_file, files)
    assert explain_changes(committed, committed, files) == ""


def test_the_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = SourceTable({"data set x": "1"}, {"a/b.py": "00ff"})
    path = tmp_path / "table.toml"
    path.write_text(format_table(table))
    assert read_table(path) == table


def test_modules_that_only_print_or_train_do_not_count() -> None:
    files = list_files("benchmark.methods.learned.gkmnet")
    assert "methods/learned/gkmnet.py" in files
    assert not any(file.startswith(("methods/training/", "cli/", "reports/")) for file in files)
    assert len(digest_file(SUITE / "arrays.py")) == 12
