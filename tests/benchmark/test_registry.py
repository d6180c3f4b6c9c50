from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Le

from benchmark.api import DataError, Method, MethodCard, Observation, Picture, UsageError
from benchmark.checkpoints import Checkpoint, CheckpointCatalogue
from benchmark.registry import (
    DATASETS,
    METHODS,
    Registry,
    build_plugin,
    create,
    describe_parameters,
    list_checkpoint_files,
    load_plugin,
    resolve_id,
)
from benchmark.spec import Spec
from tests.methods.random_weights import draw


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry[type[Method]]:
    """A registry that sees the given entry points only: one good, one that fails to import, one
    that is no method.
    """
    module = types.ModuleType("good_module")
    module.Good = METHODS.get("input")  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "good_module", module)
    points = [
        metadata.EntryPoint("good", "good_module:Good", "g"),
        metadata.EntryPoint("broken", "module_that_is_not_there:Thing", "g"),
        metadata.EntryPoint("number", "good_module:number", "g"),
        metadata.EntryPoint("twice", "good_module:Good", "g"),
        metadata.EntryPoint("twice", "other_module:Good", "g"),
    ]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    return Registry("method", "g", Method)


def test_our_methods_come_through_entry_points() -> None:
    assert {"input", "unsharp", "uniform-wiener", "zhuo-sim", "fixed-point"} <= set(METHODS.names())
    assert METHODS.origin("input") == "defocus-bench: benchmark.methods.do_nothing:DoNothing"


def test_a_broken_plugin_is_listed_with_its_reason_and_breaks_nothing(
    registry: Registry[type[Method]],
) -> None:
    assert registry.names() == ["broken", "good", "number", "twice"]
    assert registry.get("good") is METHODS.get("input")
    problems = registry.problems()
    assert "No module named 'module_that_is_not_there'" in problems["broken"]
    assert "is not a Method" in problems["number"]
    assert set(problems) == {"broken", "number", "twice"}


def test_a_clash_names_both_sides(registry: Registry[type[Method]]) -> None:
    with pytest.raises(UsageError, match=r"good_module:Good.*other_module:Good"):
        registry.get("twice")
    with pytest.raises(UsageError, match=r"'good' is claimed twice.*good_module"):
        registry.register("good")(METHODS.get("unsharp"))
    assert registry.get("good") is METHODS.get("input"), "a refused registration changes nothing"


def test_unknown_names_get_a_suggestion(registry: Registry[type[Method]]) -> None:
    with pytest.raises(
        UsageError, match=r"no method is called 'goood'; did you mean 'good'\?.*broken, good"
    ):
        registry.get("goood")


def test_nothing_registered_says_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])
    with pytest.raises(UsageError, match="pip install -e"):
        Registry("method", "g", Method).get("input")


def test_parameters_are_validated(toys: Path) -> None:
    method, resolved = create(METHODS, "echo:gain=2")
    assert method.gain == 2.0  # type: ignore[attr-defined]
    assert resolved.parameters == {"gain": 2.0, "map": "estimate"}
    assert resolved.label == "echo:gain=2.0"


@pytest.mark.parametrize(
    "text", ["echo", "echo:gain=1", "echo:gain=1.0,map=estimate", "echo:map=estimate"]
)
def test_ids_that_mean_the_same_are_one(toys: Path, text: str) -> None:
    resolved = create(METHODS, text)[1]
    assert resolved.label == "echo"
    assert resolved.parameters_json() == '{"gain": 1.0, "map": "estimate"}'


def test_a_later_parameter_is_part_of_the_identity_where_it_is_set(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS.get("echo"), "later_parameters", frozenset({"gain", "unknown"}))
    plain = create(METHODS, "echo")[1]
    assert (plain.label, plain.parameters_json()) == ("echo", '{"map": "estimate"}')
    louder = create(METHODS, "echo:gain=2")[1]
    assert louder.label == "echo:gain=2.0"
    assert louder.parameters_json() == '{"gain": 2.0, "map": "estimate"}'


class Elsewhere(Method):
    """Its one file lies where the user says, and is called as the user says."""

    card = MethodCard(title="Elsewhere", family="baseline")
    location_parameters = frozenset({"path", "name"})

    def __init__(self, *, path: Path, name: str = "", gain: float = 1.0) -> None:
        self.path = path

    @classmethod
    def label_of(cls, parameters: Mapping[str, Any]) -> str:
        return parameters["name"] or parameters["path"].stem

    def restore(self, observation: Observation) -> Picture:
        return observation.image


def test_where_files_lie_is_no_identity_and_the_name_is(toys: Path) -> None:
    with METHODS.temporarily({"elsewhere": Elsewhere}):
        plain = create(METHODS, "elsewhere:path=a/first.toml")[1]
        moved = create(METHODS, "elsewhere:path=c/first.toml")[1]
        named = create(METHODS, "elsewhere:path=b/second.toml,name=Ours (v2)")[1]
        louder = create(METHODS, "elsewhere:path=a/first.toml,gain=2")[1]
    assert (plain.label, named.label, louder.label) == ("first", "Ours (v2)", "first")
    assert plain.parameters_json() == moved.parameters_json() == '{"gain": 1.0, "name": "first"}'
    assert named.parameters_json() == '{"gain": 1.0, "name": "Ours (v2)"}'
    assert louder.parameters_json() == '{"gain": 2.0, "name": "first"}'


@pytest.mark.parametrize(
    "label", ["input", "all", "unsharp.x", "a+b", "-x", "_x", " x", "a\tb", "a=b"]
)
def test_a_label_that_means_something_else_or_cannot_be_typed_is_refused(
    toys: Path, label: str
) -> None:
    spec = Spec("elsewhere", None, {"path": "a", "name": label})
    with (
        METHODS.temporarily({"elsewhere": Elsewhere}),
        pytest.raises(UsageError, match=r"is no name for a table|give another name="),
    ):
        create(METHODS, spec)


def test_a_later_parameter_that_comes_with_the_weights_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARK_CHECKPOINTS", str(tmp_path))
    draw(tmp_path, "gkmnet:decoder=resized", "mine")
    for text in ("gkmnet.mine", "gkmnet.mine:decoder=resized"):
        assert create(METHODS, text)[1].label == "gkmnet.mine"
    assert create(METHODS, "gkmnet.mine:decoder=transposed")[1].label == (
        "gkmnet.mine:decoder=transposed"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo:gian=2", r"parameter of echo is called 'gian'; did you mean 'gain'\?.*gain, map"),
        ("echo:gain=-1", r"gain='-1': Input should be greater than 0"),
        ("echo:gain=much", r"gain='much'.*number"),
        ("echo:map=guess", r"map='guess'.*'estimate' or 'oracle'"),
        ("echo.best", r"echo has no checkpoints"),
    ],
)
def test_wrong_parameters_say_what_is_right(toys: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create(METHODS, text)


def test_checkpoints_are_chosen_by_name(toys: Path) -> None:
    class Net(METHODS.get("echo")):  # type: ignore[misc]
        checkpoints = {"sim": "sim.safetensors", "dpd": "dpd.safetensors"}  # noqa: RUF012
        default_checkpoint = "sim"

        def __init__(self, *, checkpoint: str) -> None:
            super().__init__()
            self.checkpoint = checkpoint

    registry: Registry[type[Method]] = Registry("method", "nothing here", Method)
    registry.add("net", Net)
    assert [create(registry, text)[1].label for text in ("net", "net.sim", "net.dpd")] == [
        "net.sim",
        "net.sim",
        "net.dpd",
    ]
    assert create(registry, "net.dpd")[0].checkpoint == "dpd"  # type: ignore[attr-defined]
    with pytest.raises(
        UsageError, match=r"no checkpoint of net is called 'sym'; did you mean 'sim'"
    ):
        create(registry, "net.sym")
    assert describe_parameters(Net) == {}


Width = Annotated[int, Le(64)]


@pytest.fixture
def shaped(toys: Path) -> Registry[type[Method]]:
    """A registry of one method, whose checkpoints bring a width: `odd` another than the usual 8,
    `broken` none.
    """

    class Net(METHODS.get("echo")):  # type: ignore[misc]
        checkpoints = {"broken": "b", "odd": "o", "hostile": "h", "sim": "s", "wide": "w"}  # noqa: RUF012
        default_checkpoint = "sim"

        def __init__(
            self, *, checkpoint: str | None = None, width: Width | None = None, gain: float = 1.0
        ) -> None:
            super().__init__()
            self.checkpoint, self.width = checkpoint, width

        @classmethod
        def fixed(cls, checkpoint: str | None) -> dict[str, int]:
            if checkpoint == "broken":
                raise DataError("broken: not a readable file")
            width = {"odd": 3, "wide": 16, "hostile": 10**7}.get(checkpoint or "", 8)
            return {"width": width, "os": 1} if checkpoint == "hostile" else {"width": width}

    registry: Registry[type[Method]] = Registry("method", "nothing here", Method)
    registry.add("net", Net)
    return registry


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("net", "net.sim"),
        ("net:width=8", "net.sim"),
        ("net.sim:width=8,gain=2", "net.sim:gain=2.0"),
        ("net:width=16", "net.wide:width=16"),
        ("net.wide", "net.wide:width=16"),
        ("net.wide:width=16", "net.wide:width=16"),
        ("net.wide:width=8", "net.wide:width=8"),
        ("net:width=5", "net.sim:width=5"),
    ],
)
def test_a_canonical_id_says_what_comes_with_a_checkpoint(
    shaped: Registry[type[Method]], text: str, label: str
) -> None:
    resolved = create(shaped, text)[1]
    assert resolved.label == label
    assert create(shaped, label)[1] == resolved, "the label means the same"


def test_ids_that_mean_the_same_weights_have_the_same_parameters(
    shaped: Registry[type[Method]],
) -> None:
    first, second = (create(shaped, text)[1] for text in ("net.wide", "net:width=16"))
    assert first == second and first.parameters["width"] is None
    assert create(shaped, "net.wide:width=8")[1].parameters["width"] == 8


def test_a_method_can_be_made_without_weights(shaped: Registry[type[Method]]) -> None:
    method, resolved = create(shaped, "net:width=16", checkpoint=None)
    assert (resolved.label, resolved.checkpoint) == ("net:width=16", None)
    assert (method.checkpoint, method.width) == (None, 16)  # type: ignore[attr-defined]


def test_a_card_cannot_say_what_could_not_be_typed(shaped: Registry[type[Method]]) -> None:
    with pytest.raises(
        DataError,
        match=r"net.hostile: its card is not one of net: no parameter of net is called 'os'",
    ):
        create(shaped, "net.hostile")


def test_a_damaged_checkpoint_matters_only_to_who_names_it(shaped: Registry[type[Method]]) -> None:
    assert create(shaped, "net:width=3")[1].label == "net.odd:width=3"
    with pytest.raises(DataError, match="not a readable file"):
        create(shaped, "net.broken")


def test_parameters_are_described() -> None:
    assert describe_parameters(METHODS.get("zhuo-sim"))["map"] == "estimate|oracle = estimate"
    simulated = describe_parameters(DATASETS.get("simulated"))
    assert (
        simulated["source"] == "Path"
        and simulated["size"] == "int"
        and simulated["views"] == "bool = false"
    )


def test_plugin_files(tmp_path: Path, toys: Path) -> None:
    load_plugin(toys)  # a second time is free
    bad = tmp_path / "bad.py"
    bad.write_text("import nowhere_to_be_found\n")
    with pytest.raises(UsageError, match=r"bad\.py fails: ModuleNotFoundError"):
        load_plugin(bad)
    with pytest.raises(UsageError, match="no such Python file"):
        load_plugin(tmp_path / "absent.py")
    clash = tmp_path / "clash.py"
    clash.write_text(
        "from benchmark.registry import METHODS\n@METHODS.register('input')\nclass "
        "A(METHODS.get('unsharp')): pass\n"
    )
    with pytest.raises(UsageError, match=r"claimed twice: by defocus-bench.*clash\.py"):
        load_plugin(clash)


@pytest.mark.parametrize("name", ["all", "dot.ted", "a:b", "a,b", ""])
def test_names_that_could_not_be_typed_are_refused(toys: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a name has letters"):
        METHODS.add(name, METHODS.get("input"))


def test_a_record_must_be_registered_under_its_own_id_and_is_found_by_its_line(toys: Path) -> None:
    from benchmark.registry import PROTOCOLS

    with pytest.raises(UsageError, match="calls itself 'quick'"):
        PROTOCOLS.add("other", PROTOCOLS.get("quick"))
    assert "toys.py:" in PROTOCOLS.origin("quick")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "    def __init__(self): raise OSError('no weights')",
            "cannot be built: OSError: no weights",
        ),
        ("    pass", "has no card"),
    ],
)
def test_a_method_that_cannot_be_built_says_why(body: str, says: str) -> None:
    space: dict[str, object] = {"Method": Method}
    exec(
        f"class Odd(Method):\n{body}\n    def restore(self, observation): return observation.image",
        space,
    )
    if "OSError" in body:
        space["Odd"].card = METHODS.get("input").card  # type: ignore[attr-defined]
    with (
        METHODS.temporarily({"odd": space["Odd"]}),  # type: ignore[dict-item]
        pytest.raises(UsageError, match=says),
    ):
        create(METHODS, "odd")


def test_a_plugin_that_exits_does_not_end_the_command(tmp_path: Path) -> None:
    path = tmp_path / "exits.py"
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(UsageError, match="SystemExit"):
        load_plugin(path)


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("import methods.learned.gkmnet", "methods.learned.gkmnet"),
        ("from methods.learned import gkmnet", "methods.learned.gkmnet"),
        ("def f():\n    from datasets.layout import FileDataset", "datasets.layout"),
        ("from reports import grid", "reports.grid"),
        ("import methods", "methods"),
    ],
)
def test_a_plugin_that_imports_an_old_path_is_told_the_new_one(
    tmp_path: Path, line: str, module: str
) -> None:
    path = tmp_path / "old.py"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=rf"imports {module}, which is benchmark\.{module} now"):
        load_plugin(path)


def test_an_installed_plugin_that_imports_an_old_path_is_told_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old_plugin.py").write_text("from datasets.not_there import A\n")
    (tmp_path / "older_plugin.py").write_text("from datasets.layout import FileDataset\n")
    monkeypatch.syspath_prepend(tmp_path)
    # Without the folder at the top, which stands on the path of whoever works in a checkout.
    monkeypatch.setitem(sys.modules, "datasets", types.ModuleType("datasets"))
    points = [
        metadata.EntryPoint("old", "old_plugin:A", "g"),
        metadata.EntryPoint("older", "older_plugin:A", "g"),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: points)
    problems = Registry("method", "g", Method).problems()
    assert "which is" not in problems["old"]  # there is no such module of ours
    assert problems["older"].endswith(
        "imports datasets.layout, which is benchmark.datasets.layout now"
    )


@pytest.mark.parametrize(
    "line",
    [
        "try:\n    import datasets\nexcept ImportError: pass",
        "try:\n    from datasets import load_dataset\nexcept ImportError: pass",
        "try:\n    import methods_of_mine\nexcept ImportError: pass",
        "import benchmark.methods.do_nothing",
    ],
)
def test_a_plugin_may_import_what_is_not_an_old_path(tmp_path: Path, line: str) -> None:
    path = tmp_path / "new.py"
    path.write_text(line + "\n")
    load_plugin(path)


def test_an_unknown_name_without_a_likely_one_ends_its_sentence(
    registry: Registry[type[Method]],
) -> None:
    with pytest.raises(UsageError, match=r"no method is called 'xyzzy'\. Known: broken, good"):
        registry.get("xyzzy")


def test_what_is_registered_temporarily_goes_again(toys: Path) -> None:
    names = METHODS.names()
    with METHODS.temporarily({"guest": METHODS.get("input")}):
        METHODS.add("another-guest", METHODS.get("input"))
        assert create(METHODS, "guest")[1].label == "guest"
    assert METHODS.names() == names
    with (
        pytest.raises(UsageError, match="claimed twice"),
        METHODS.temporarily({"guest": METHODS.get("input"), "input": METHODS.get("unsharp")}),
    ):
        pass
    assert METHODS.names() == names
    assert METHODS.problems() == {}


def test_a_method_that_lists_no_checkpoints_gets_those_of_the_catalogue(
    toys: Path, tmp_path: Path
) -> None:
    class Net(METHODS.get("echo")):  # type: ignore[misc]
        def __init__(self, *, checkpoint: Checkpoint | None = None) -> None:
            super().__init__()
            self.checkpoint = checkpoint

    first, second = tmp_path / "first", tmp_path / "second"
    for folder, tags in ((first, ["one", "sim"]), (second, ["one", "two"])):
        folder.mkdir()
        for tag in tags:
            (folder / f"net.{tag}.safetensors").touch()
    (first / "other.sim.safetensors").touch()
    catalogue = CheckpointCatalogue([first, second, tmp_path / "absent"])
    with METHODS.temporarily({"net": Net}):
        method, resolved = create(METHODS, "net", catalogue=catalogue)
        assert resolved.label == "net.sim"
        assert method.checkpoint == Checkpoint("net", "sim", first / "net.sim.safetensors")  # type: ignore[attr-defined]
        files = list_checkpoint_files("net", catalogue)
        with pytest.raises(UsageError, match=r"no checkpoint of net is called 'twoo'"):
            create(METHODS, "net.twoo", catalogue=catalogue)
        assert create(METHODS, "net", catalogue=CheckpointCatalogue([]))[1].label == "net"
    assert files == {
        "one": first / "net.one.safetensors",
        "sim": first / "net.sim.safetensors",
        "two": second / "net.two.safetensors",
    }


def test_a_resolved_id_is_built_without_looking_anything_up_again(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = pickle.loads(pickle.dumps(resolve_id(METHODS, "gkmnet.sim")))
    expected = create(METHODS, "gkmnet.sim")[0].weights_hash()
    monkeypatch.setattr("benchmark.checkpoints.SHIPPED_FOLDER", Path("nowhere"))
    assert build_plugin(METHODS, resolved).weights_hash() == expected
