import hashlib
import itertools
import os
import pickle
import socket
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from skimage import data

from benchmark import worker
from benchmark.api import Unavailable
from benchmark.metrics import lpips
from benchmark.metrics.lpips import Lpips, resolve_trunk, trunk_sha256
from tests.benchmark.metrics.metric_oracles import lpips_direct, random_trunk

REAL_TRUNK = os.environ.get(lpips.TRUNK_VARIABLE)
HUB_FILE = "alexnet-owt-7be5be79.pth"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Every test asks anew for the network, and starts without the variable."""
    monkeypatch.delenv(lpips.TRUNK_VARIABLE, raising=False)
    lpips._try_build_network.cache_clear()
    lpips.set_trunk_file(None)
    yield
    lpips.set_trunk_file(None)
    lpips._try_build_network.cache_clear()


@pytest.fixture(scope="module")
def trunk():
    return random_trunk()


@pytest.fixture(scope="module")
def trunk_file(trunk, tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "trunk.pth"
    torch.save(trunk | {"classifier.1.weight": torch.zeros(3)}, path)
    return path


@pytest.fixture
def use(monkeypatch):
    return lambda path: monkeypatch.setenv(lpips.TRUNK_VARIABLE, str(path))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty torch hub folder, and a network that is down."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", _down)
    return tmp_path / "hub" / "checkpoints"


def _down(*_args, **_options):
    raise urllib.error.URLError("network is down")


def pair(height=40, width=47, seed=0):
    """Two pictures that leave [0, 1]."""
    rng = np.random.default_rng(seed)
    target = rng.random((height, width, 3)).astype(np.float32)
    return (target + 0.4 * rng.standard_normal(target.shape)).astype(np.float32), target


@pytest.mark.parametrize(
    ("range_", "order"), [*itertools.product(("unit", "raw01"), ("rgb", "bgr"))]
)
def test_it_is_the_distance_of_normalised_features(trunk, trunk_file, use, range_, order):
    use(trunk_file)
    output, target = pair()
    fed = [p[..., ::-1] if order == "bgr" else p for p in (output, target)]
    fed = [2 * p - 1 if range_ == "unit" else p for p in fed]
    assert Lpips(range=range_, order=order)(output, target) == pytest.approx(
        lpips_direct(*fed, trunk), rel=1e-4
    )


def test_range_order_and_clamping_all_matter(trunk_file, use):
    use(trunk_file)
    output, target = pair()
    values = [
        Lpips(range=r, order=o)(output, target) for r in ("unit", "raw01") for o in ("rgb", "bgr")
    ]
    values.append(Lpips()(output.clip(0, 1), target))
    assert min(abs(a - b) for a, b in itertools.combinations(values, 2)) > 1e-4


def test_a_target_is_known_again_by_its_numbers_alone(trunk, trunk_file, use, monkeypatch):
    use(trunk_file)
    metric = Lpips()
    batches = []
    extract = lpips._extract_features
    monkeypatch.setattr(
        lpips, "_extract_features", lambda *words: batches.append(1) or extract(*words)
    )
    output, target = pair(seed=5)
    first = metric(output, target)
    assert len(batches) == 2
    assert metric(output, target.copy()) == first and len(batches) == 3
    target[3, 4] += 0.5  # the same array, another picture
    changed = metric(output, target)
    assert len(batches) == 5
    assert changed == pytest.approx(lpips_direct(2 * output - 1, 2 * target - 1, trunk), rel=1e-4)


def test_it_is_a_symmetric_distance(trunk_file, use):
    use(trunk_file)
    output, target = pair()
    assert Lpips()(target, target) == 0.0
    assert Lpips()(output, target) == pytest.approx(Lpips()(target, output), rel=1e-6)
    assert Lpips()(output, target) > 0


def test_pictures_below_31_pixels_are_refused_as_the_network_would(trunk, trunk_file, use):
    use(trunk_file)
    Lpips()(*pair(31, 31))
    with pytest.raises(ValueError, match="LPIPS needs at least 31x31 pixels, the picture is 31x30"):
        Lpips()(*pair(30, 31))
    with pytest.raises(RuntimeError, match="too small"):
        lpips_direct(*pair(30, 31), trunk)


def test_pictures_that_differ_in_shape_are_refused(trunk_file, use):
    use(trunk_file)
    with pytest.raises(ValueError, match="target is 41x40"):
        Lpips()(pair(40, 40)[0], pair(40, 41)[1])


def test_building_it_is_silent_and_leaves_the_random_state_alone(trunk_file, use, capfd):
    use(trunk_file)
    before = torch.random.get_rng_state()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert Lpips().unavailable() is None
    assert [str(w.message) for w in heard] == []
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_the_network_is_built_once_for_all_settings(trunk_file, use, monkeypatch):
    built = []
    build = lpips._build_network
    monkeypatch.setattr(lpips, "_build_network", lambda path: built.append(path) or build(path))
    use(trunk_file)
    for metric in (Lpips(), Lpips(range="raw01"), Lpips(order="bgr")):
        metric(*pair())
    assert built == [trunk_file]


def test_a_file_that_will_not_do_is_read_once(tmp_path, use, monkeypatch):
    read = []
    monkeypatch.setattr(lpips, "_read_trunk", lambda path: read.append(path) or {})
    (tmp_path / "empty.pth").touch()
    use(tmp_path / "empty.pth")
    assert Lpips().unavailable() == Lpips().unavailable() != ""
    assert read == [tmp_path / "empty.pth"]


def test_safetensors_are_read_too(trunk, tmp_path, use):
    path = tmp_path / "trunk.safetensors"
    save_file(trunk, path)
    use(path)
    output, target = pair()
    assert Lpips()(output, target) == pytest.approx(
        lpips_direct(2 * output - 1, 2 * target - 1, trunk), rel=1e-4
    )


def _without(trunk, key):
    return {k: v for k, v in trunk.items() if k != key}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: _without(t, "features.10.bias"), "features.10.bias is missing"),
        (
            lambda t: t | {"features.3.weight": torch.zeros(192, 64, 3, 3)},
            r"features.3.weight is \(192, 64, 3, 3\), not",
        ),
        (
            lambda t: (
                t | {"features.6.bias": torch.ones(384).index_fill(0, torch.tensor(7), torch.nan)}
            ),
            "6.bias is not finite",
        ),
        (
            lambda t: t | {"features.0.bias": torch.zeros(64, dtype=torch.int64)},
            "0.bias is not finite",
        ),
        (lambda t: t | {"features.0.bias": "zero"}, "features.0.bias is missing"),
        (lambda t: list(t.values()), "holds a list, not named weights"),
        (lambda t: {}, "features.0.weight is missing; features.0.bias is missing"),
    ],
    ids=["missing", "shape", "nan", "integers", "text", "list", "empty"],
)
def test_an_incomplete_trunk_is_refused(trunk, tmp_path, use, spoil, reason):
    torch.save(spoil(trunk), tmp_path / "spoilt.pth")
    use(tmp_path / "spoilt.pth")
    _expect_refusal(reason)


def _expect_refusal(reason):
    assert lpips.TRUNK_VARIABLE in Lpips().unavailable()
    with pytest.raises(Unavailable, match=reason):
        Lpips()(*pair())


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"PK\x03\x04 cut short"], ids=["empty", "text", "zip"]
)
def test_a_damaged_file_is_refused(tmp_path, use, name, content):
    (tmp_path / name).write_bytes(content)
    use(tmp_path / name)
    _expect_refusal(f"{name} cannot be read as weights")


def test_a_file_cut_short_is_refused(trunk_file, tmp_path, use):
    whole = trunk_file.read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    use(tmp_path / "cut.pth")
    _expect_refusal("cut.pth cannot be read as weights")


class _Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))], ids=["torch", "pickle"]
)
def test_code_in_a_file_is_refused_and_not_run(tmp_path, use, write):
    write({"features.0.weight": _Code(tmp_path / "ran")}, tmp_path / "code.pth")
    use(tmp_path / "code.pth")
    _expect_refusal("code.pth cannot be read as weights")
    assert not (tmp_path / "ran").exists()


def test_a_named_file_that_is_not_there_is_refused_though_torchvision_has_one(
    tmp_path, use, hub, trunk_file
):
    _fill(hub, trunk_file)
    use(tmp_path / "absent.pth")
    with pytest.raises(
        Unavailable, match=r"BENCHMARK_LPIPS_TRUNK names .*absent.pth, which is no file"
    ):
        resolve_trunk()
    _expect_refusal("absent.pth")


def _fill(hub, trunk_file):
    hub.mkdir(parents=True)
    (hub / HUB_FILE).write_bytes(trunk_file.read_bytes())


def test_torchvisions_copy_is_used_without_the_variable(hub, trunk, trunk_file, use):
    _fill(hub, trunk_file)
    assert resolve_trunk() == hub / HUB_FILE
    output, target = pair()
    expected = lpips_direct(2 * output - 1, 2 * target - 1, trunk)
    assert Lpips()(output, target) == pytest.approx(expected, rel=1e-4)
    use("")
    assert resolve_trunk() == hub / HUB_FILE


def test_the_variable_comes_before_torchvisions_copy(hub, trunk_file, use):
    _fill(hub, trunk_file)
    use(trunk_file)
    assert resolve_trunk() == trunk_file


def test_offline_it_says_what_to_do(hub):
    with pytest.raises(
        Unavailable, match=r"cannot be fetched .*network is down.* set BENCHMARK_LPIPS_TRUNK"
    ):
        resolve_trunk()
    assert "network is down" in Lpips().unavailable()
    with pytest.raises(Unavailable):
        trunk_sha256()
    with pytest.raises(Unavailable):
        Lpips()(*pair())


def test_a_download_has_a_time_limit_and_is_checked_against_its_digest(hub, monkeypatch):
    seen = {}

    def fetch(url, place, hash_prefix, progress):
        seen.update(
            url=url, prefix=hash_prefix, progress=progress, limit=socket.getdefaulttimeout()
        )
        Path(place).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    assert resolve_trunk() == hub / HUB_FILE
    assert seen["url"].endswith(HUB_FILE)
    assert (seen["prefix"], seen["progress"], seen["limit"]) == (
        "7be5be79",
        False,
        lpips.DOWNLOAD_PATIENCE,
    )
    assert socket.getdefaulttimeout() is None


def test_a_failed_download_is_tried_once_and_leaves_no_time_limit(hub, monkeypatch):
    tried = []
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda *a, **k: tried.append(a) or _down()
    )
    for _ in range(3):
        assert Lpips().unavailable() is not None
    assert len(tried) == 1
    assert socket.getdefaulttimeout() is None


def test_the_digest_is_that_of_the_file(trunk_file, use):
    use(trunk_file)
    assert trunk_sha256() == hashlib.sha256(trunk_file.read_bytes()).hexdigest()


def test_cards():
    assert not Lpips.card.higher_is_better and Lpips.card.digits == 3
    titles = [Lpips().card.title, Lpips(range="raw01").card.title, Lpips(order="bgr").card.title]
    assert titles == ["LPIPS", "LPIPS raw01", "LPIPS bgr"]


@pytest.fixture
def real_trunk(use):
    if not REAL_TRUNK:
        pytest.skip(f"{lpips.TRUNK_VARIABLE} is not set")
    use(REAL_TRUNK)
    return torch.load(REAL_TRUNK, weights_only=True)


@pytest.mark.data
@pytest.mark.parametrize("range_", ["unit", "raw01"])
def test_with_the_real_trunk_it_is_the_direct_evaluation(real_trunk, range_):
    target = data.astronaut()[100:228, 150:300] / 255.0
    output = gaussian_filter(target, (2, 2, 0))
    fed = [2 * p - 1 if range_ == "unit" else p for p in (output, target)]
    assert Lpips(range=range_)(output, target) == pytest.approx(
        lpips_direct(*fed, real_trunk), rel=1e-5
    )


@pytest.mark.data
def test_with_the_real_trunk_more_blur_is_worse(real_trunk):
    target = data.astronaut()[100:228, 150:300] / 255.0
    values = [Lpips()(gaussian_filter(target, (s, s, 0)), target) for s in (0.5, 1, 2, 4)]
    assert values == sorted(values) and values[0] < 0.1 < 0.4 < values[-1]


def test_a_file_that_is_handed_over_comes_before_the_variable(trunk_file, use, tmp_path):
    use(tmp_path / "absent.pth")
    lpips.set_trunk_file(trunk_file)
    assert Lpips().unavailable() is None and lpips.resolve_trunk() == trunk_file
    lpips.set_trunk_file(None)
    assert "absent.pth" in Lpips().unavailable()


def test_a_worker_gets_the_trunk_with_its_settings(trunk_file, monkeypatch):
    monkeypatch.setattr(worker, "_limit_threads", lambda threads: None)
    worker.start_worker(worker.RunSettings(Path(), Path(), lpips_trunk=trunk_file))
    assert lpips.resolve_trunk() == trunk_file
    assert lpips.TRUNK_VARIABLE not in os.environ
