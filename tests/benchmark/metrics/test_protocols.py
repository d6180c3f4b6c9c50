"""Each protocol against a transcription of its published evaluation, written on the scale and in
the order of the original scripts, from the integers of the files to the scores, sharing no code
with `benchmark.metrics`.
"""

import dataclasses
import pickle

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmark.api import Metric, MetricCard, Observation, Sample, Unavailable
from benchmark.metrics import lpips, published_protocols
from benchmark.metrics.lpips import Lpips
from benchmark.metrics.mae import Mae
from benchmark.metrics.protocols import Measure, Protocol, Score
from benchmark.metrics.psnr import Psnr
from benchmark.metrics.published_protocols import (
    CANONICAL,
    DPDNET,
    DRBNET,
    GKMNET,
    IFAN,
    INIKNET,
    LAKDNET,
    NRKNET,
    RESTORMER,
)
from benchmark.metrics.ssim import Ssim
from benchmark.metrics.tracks import Track
from benchmark.registry import Registry, create
from tests.benchmark.metrics.metric_oracles import (
    lpips_direct,
    psnr_direct,
    random_trunk,
    ssim_direct,
)

ALL = [CANONICAL, GKMNET, DPDNET, IFAN, DRBNET, RESTORMER, NRKNET, INIKNET, LAKDNET]
TRUNK = random_trunk()


METRICS = Registry("metric", "defocus_bench.none", Metric)
for name, kind in {"psnr": Psnr, "ssim": Ssim, "lpips": Lpips, "mae": Mae}.items():
    METRICS.add(name, kind)


def metric(text):
    """As the harness builds metrics, but without the need to be installed."""
    return create(METRICS, text)[0]


@pytest.fixture(scope="module", autouse=True)
def trunk(tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "trunk.pth"
    torch.save(TRUNK, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(lpips.TRUNK_VARIABLE, str(path))
        yield


def files(height, width, bits=16, seed=0):
    """The integers of a blurred and a sharp picture file, H x W x 3 RGB, smooth enough to look like
    pictures.
    """
    rng = np.random.default_rng(seed)
    sharp = cv2.GaussianBlur(rng.random((height, width, 3)), (0, 0), 1.0)
    sharp = (sharp - sharp.min()) / np.ptp(sharp)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    return tuple(
        np.rint(p * (2**bits - 1)).astype(np.uint16 if bits == 16 else np.uint8)
        for p in (blurred, sharp)
    )


def restore(seen):
    """A method: treats the channels differently, knows where it is, and leaves [0, 1] on both
    sides.
    """
    rows = np.linspace(-0.1, 0.1, seen.shape[0], dtype=np.float32)[:, None, None]
    gains = np.array([1.5, 1.8, 2.1], np.float32)
    return (gains * seen - np.float32(0.45) + rows).astype(np.float32)


def measured(protocol, depth, blurred, sharp, dataset="folder"):
    """What the harness does."""
    track = next(track for track in protocol.tracks if track.depth == depth)
    peak, bits = (65535, 16) if blurred.dtype == np.uint16 else (255, 8)
    image, target = ((p / peak).astype(np.float32) for p in (blurred, sharp))
    sample = track.read(Sample("a", image, target, bit_depth=bits))
    output = restore(track.fit(Observation(sample.image)).image)
    output = track.finish(output, sample.image.shape[:2])
    scores = protocol.score(output, track.frame(sample.target), dataset, metric)
    assert all(score.reason is None for score in scores), scores
    return {score.key: score.value for score in scores}


def eight_bit(picture):
    return (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture


# ---- transcriptions: files -> scores


def gkmnet(blurred, sharp):
    def padded(array):
        height, width = array.shape[:2]
        wide, high = int(np.ceil(width / 16) * 16), int(np.ceil(height / 16) * 16)
        canvas = Image.new("RGB", (wide, high), (0, 0, 0))
        canvas.paste(Image.fromarray(array), (int((wide - width) / 2), int((high - height) / 2)))
        return np.asarray(canvas).astype(np.float32) / np.float32(255)

    seen, label = padded(eight_bit(blurred)), padded(eight_bit(sharp))
    output = restore(seen)
    rounded, label255 = np.round(output * np.float32(255)), np.round(label * np.float32(255))
    assert rounded.min() < 0 and rounded.max() > 255
    return {
        "psnr": psnr_direct(rounded.clip(0, 255), label255, 255),
        "ssim_g11": ssim_direct(rounded, label255, "g11", 255),
        "lpips_raw01": lpips_direct(output, label, TRUNK),
    }


def nrknet(blurred, sharp, part=slice(None)):
    def read(array):
        height, width = array.shape[:2]
        bgr = eight_bit(array)[: height // 16 * 16, : width // 16 * 16, ::-1]
        return bgr.astype(np.float32) / np.float32(255)

    seen, label = read(blurred), read(sharp)
    rounded, label255 = np.round(restore(seen) * np.float32(255)), np.round(label * np.float32(255))
    rounded, label255, label = rounded[part, part], label255[part, part], label[part, part]
    return {
        "psnr": psnr_direct(rounded.clip(0, 255), label255, 255),
        "ssim_g11": ssim_direct(rounded, label255, "g11", 255),
        "lpips_bgr": lpips_direct(rounded / 255 * 2 - 1, label * 2 - 1, TRUNK),
    }


def iniknet(blurred, sharp):
    height, width = (int(np.floor(side / 32) * 32) for side in blurred.shape[:2])
    seen, label = (eight_bit(p)[:height, :width, ::-1] / np.float32(255) for p in (blurred, sharp))
    output = restore(seen)
    clipped = output.clip(0, 1)
    return {
        "psnr": peak_signal_noise_ratio(label.astype(float), clipped.astype(float)),
        "ssim_u7": ssim_direct(label, clipped, "u7"),
        "lpips_bgr": lpips_direct(output * 2.0 - 1, label * 2.0 - 1, TRUNK),
    }


def dpdnet(blurred, sharp):
    def read(array):
        bgr = array[..., ::-1]
        if bgr.shape[0] > bgr.shape[1]:
            bgr = cv2.rotate(np.ascontiguousarray(bgr), cv2.ROTATE_90_COUNTERCLOCKWISE)
        return cv2.resize(bgr / 65535, (1680, 1120))

    output, label = restore(read(blurred).astype(np.float32)).clip(0, 1).astype(float), read(sharp)
    return {
        "psnr": 10 * np.log10(1 / np.mean((label - output) ** 2)),
        "ssim_u7": structural_similarity(label, output, data_range=1, channel_axis=-1),
        "mae": np.mean([np.abs(label[..., c] - output[..., c]).mean() for c in range(3)]),
    }


def plain(blurred, sharp, prepare, peak):
    """IFAN, DRBNet, Restormer, LaKDNet: RGB, clamped, not rounded; they differ in how the picture
    is sized.
    """
    seen, label = (
        prepare((p if peak == 65535 else eight_bit(p)) / np.float32(peak)) for p in (blurred, sharp)
    )
    height, width = label.shape[:2]
    output = restore(seen)[:height, :width].clip(0, 1)
    return {
        "psnr": psnr_direct(output, label),
        "ssim_u7": ssim_direct(output, label, "u7"),
        "lpips": lpips_direct(output * 2.0 - 1, label * 2.0 - 1, TRUNK),
        "mae": np.abs(output.astype(float) - label).mean(),
    }


def cropped(multiple):
    return lambda p: p[: p.shape[0] - p.shape[0] % multiple, : p.shape[1] - p.shape[1] % multiple]


def lakdnet(blurred, sharp, peak):
    levels = [(p if peak == 65535 else eight_bit(p)) / np.float32(peak) for p in (blurred, sharp)]
    chw = torch.from_numpy(levels[0].transpose(2, 0, 1))
    height, width = chw.shape[1:]
    mirrored = torch.nn.functional.pad(chw, (0, -width % 8, 0, -height % 8), mode="reflect")
    output = restore(mirrored.numpy().transpose(1, 2, 0))[:height, :width].clip(0, 1)
    return {
        "psnr": psnr_direct(output, levels[1]),
        "ssim_u7": ssim_direct(output, levels[1], "u7"),
        "lpips": lpips_direct(output * 2.0 - 1, levels[1] * 2.0 - 1, TRUNK),
    }


def canonical(blurred, sharp, peak):
    expected = plain(blurred, sharp, lambda p: p, peak)
    seen, label = (
        (p if peak == 65535 else eight_bit(p)) / np.float32(peak) for p in (blurred, sharp)
    )
    output = restore(seen).clip(0, 1)
    levels = np.round(output * np.float32(255)), np.round(label * np.float32(255))
    return expected | {
        "psnr_rounded": psnr_direct(*levels, 255),
        "ssim_g11": ssim_direct(output, label, "g11"),
    }


PEAKS = {"u8": 255, "u16": 65535}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(41, 52), (48, 64), (33, 47)], ids=["41x52", "48x64", "33x47"])
@pytest.mark.parametrize(
    ("protocol", "transcription"),
    [
        (GKMNET, gkmnet),
        (NRKNET, nrknet),
        (INIKNET, iniknet),
        (CANONICAL, lambda b, s: canonical(b, s, 255)),
        (IFAN, lambda b, s: plain(b, s, cropped(8), 255)),
        (DRBNET, lambda b, s: plain(b, s, cropped(16), 255)),
        (RESTORMER, lambda b, s: plain(b, s, lambda p: p, 255)),
        (LAKDNET, lambda b, s: lakdnet(b, s, 255)),
    ],
    ids=lambda value: value.id if isinstance(value, Protocol) else "",
)
def test_8_bit_protocols_measure_what_they_transcribe(protocol, transcription, size, bits):
    blurred, sharp = files(*size, bits)
    assert_same(measured(protocol, "u8", blurred, sharp), transcription(blurred, sharp))


@pytest.mark.parametrize(
    ("protocol", "transcription"),
    [
        (CANONICAL, lambda b, s: canonical(b, s, 65535)),
        (IFAN, lambda b, s: plain(b, s, cropped(8), 65535)),
        (RESTORMER, lambda b, s: plain(b, s, lambda p: p, 65535)),
        (LAKDNET, lambda b, s: lakdnet(b, s, 65535)),
    ],
    ids=lambda value: value.id if isinstance(value, Protocol) else "",
)
def test_16_bit_tracks_measure_what_they_transcribe(protocol, transcription):
    blurred, sharp = files(41, 52)
    exact = measured(protocol, "u16", blurred, sharp)
    assert_same(exact, transcription(blurred, sharp))
    assert exact["psnr"] != pytest.approx(
        measured(protocol, "u8", blurred, sharp)["psnr"], abs=1e-5
    )


@pytest.mark.parametrize("size", [(34, 50), (50, 34)], ids=["landscape", "portrait"])
def test_dpdnet_measures_what_it_transcribes(size):
    blurred, sharp = files(*size)
    assert_same(measured(DPDNET, "u16", blurred, sharp), dpdnet(blurred, sharp))


def assert_same(ours, theirs):
    assert ours and ours.keys() <= theirs.keys()
    for key, value in ours.items():
        if key.startswith("lpips"):
            assert value == pytest.approx(theirs[key], rel=1e-4), key
        else:
            assert value == pytest.approx(theirs[key], abs=1e-6), key


def test_nrknet_scores_a_part_of_rtf():
    blurred, sharp = files(360, 360, bits=8)
    on_rtf = measured(NRKNET, "u8", blurred, sharp, "rtf")
    assert_same(on_rtf, nrknet(blurred, sharp, slice(4, 364)))
    assert on_rtf["psnr"] != pytest.approx(measured(NRKNET, "u8", blurred, sharp)["psnr"], abs=1e-6)


# ---- facts about the definitions


@pytest.mark.parametrize("protocol", ALL, ids=lambda p: p.id)
def test_a_protocol_is_complete_and_can_be_handed_to_a_worker(protocol):
    assert protocol is getattr(published_protocols, protocol.id.upper())
    assert all(isinstance(metric(measure.metric), Metric) for measure in protocol.measures)
    assert all(Track.parse(track.id) == track for track in protocol.tracks)
    assert protocol.title and len(protocol.source) > 80 and protocol.version
    assert pickle.loads(pickle.dumps(protocol)) == protocol
    assert {protocol: 1}[dataclasses.replace(protocol)] == 1


def test_the_input_halves_are_the_published_ones():
    assert {p.id: [track.id for track in p.tracks] for p in ALL} == {
        "canonical": ["u8", "u16"],
        "gkmnet": ["u8-pad16-black"],
        "dpdnet": ["u16-resize-bgr"],
        "ifan": ["u8-crop8", "u16-crop8"],
        "drbnet": ["u8-crop16"],
        "restormer": ["u8", "u16"],
        "nrknet": ["u8-crop16-bgr"],
        "iniknet": ["u8-crop32-bgr"],
        "lakdnet": ["u8-pad8-reflect", "u16-pad8-reflect"],
    }


def test_only_the_canonical_protocol_and_those_that_say_so_give_each_number():
    assert {p.id: [measure.key for measure in p.measures] for p in ALL} == {
        "canonical": ["psnr", "psnr_rounded", "ssim_u7", "ssim_g11", "lpips", "mae"],
        "gkmnet": ["psnr", "ssim_g11", "lpips_raw01"],
        "dpdnet": ["psnr", "ssim_u7", "mae"],
        "ifan": ["psnr", "ssim_u7", "lpips", "mae"],
        "drbnet": ["psnr", "ssim_u7", "lpips"],
        "restormer": ["psnr", "ssim_u7", "lpips", "mae"],
        "nrknet": ["psnr", "ssim_g11", "lpips_bgr"],
        "iniknet": ["psnr", "ssim_u7", "lpips_bgr"],
        "lakdnet": ["psnr", "ssim_u7", "lpips"],
    }


def test_the_black_frame_raises_gkmnets_psnr_by_its_share_of_the_area():
    """On RTF (360 x 360, padded to 368 x 368): 10 log10(368^2 / 360^2) = 0.19 dB, if the frame
    comes back black.
    """
    rng = np.random.default_rng(0)
    target = rng.integers(0, 256, (360, 360, 3)).astype(np.float32) / np.float32(255)
    output = np.clip(target + np.float32(0.1), 0, 1)
    track = GKMNET.tracks[0]
    padded = GKMNET.score(track.frame(output), track.frame(target), "rtf", metric)[0].value
    bare = GKMNET.score(output, target, "rtf", metric)[0].value
    assert padded - bare == pytest.approx(20 * np.log10(368 / 360), abs=1e-9)
    assert round(padded - bare, 2) == 0.19


def test_clamping_and_rounding_change_gkmnets_numbers():
    blurred, sharp = files(48, 48)
    track = GKMNET.tracks[0]
    image, target = ((eight_bit(p) / np.float32(255)) for p in (blurred, sharp))
    free = GKMNET.score(restore(image), track.frame(target), "folder", metric)
    clamped = GKMNET.score(restore(image).clip(0, 1), track.frame(target), "folder", metric)
    changed = [
        a.key
        for a, b in zip(free, clamped, strict=True)
        if a.value != pytest.approx(b.value, abs=1e-7)
    ]
    assert changed == ["ssim_g11", "lpips_raw01"]


# ---- scoring


class Spy(Metric):
    """Keeps the pictures it is given."""

    card = MetricCard(title="spy")

    def __init__(self, value=0.5, lack=None, error=None):
        self.seen, self.value, self.lack, self.error = [], value, lack, error

    def unavailable(self):
        return self.lack

    def __call__(self, output, target):
        self.seen.append((output, target))
        if self.error is not None:
            raise self.error
        return self.value


def spied(protocol, output, target, dataset="folder", **facts):
    spy = Spy(**facts)
    return protocol.score(output, target, dataset, lambda _: spy), spy.seen


def ruler(*kinds, slices=None):
    measures = tuple(Measure(f"m{i}", "spy", *kind) for i, kind in enumerate(kinds))
    return Protocol("p", "P", "here", "1", (Track("u8"),), measures, slices or {})


def pair(size=40):
    rng = np.random.default_rng(0)
    target = rng.random((size, size, 3), dtype=np.float32)
    return restore(target), target


def test_each_measure_gets_its_own_form_and_equal_ones_are_measured_once():
    output, target = pair()
    scores, seen = spied(
        ruler((False, False), (True, False), (False, True), (True, True), (True, False)),
        output,
        target,
    )
    np.testing.assert_array_equal(seen[0][0], output)
    np.testing.assert_array_equal(seen[1][0], output.clip(0, 1))
    np.testing.assert_allclose(seen[2][0] * 255, np.round(output.astype(float) * 255), atol=1e-9)
    np.testing.assert_allclose(
        seen[3][0] * 255, np.round(output.astype(float) * 255).clip(0, 255), atol=1e-9
    )
    for index in (2, 3):
        np.testing.assert_allclose(
            seen[index][1] * 255, np.round(target.astype(float) * 255), atol=1e-9
        )
    np.testing.assert_array_equal(seen[0][1], target)
    assert len(seen) == 4 and scores[4].value == scores[1].value


def test_what_another_protocol_measured_of_the_same_pictures_is_not_measured_again():
    random = np.random.default_rng(0)
    output, target = random.random((2, 20, 24, 3), np.float32)
    calls = []

    class Counted(Psnr):
        def __call__(self, output, target):
            calls.append(output.shape)
            return super().__call__(output, target)

    def create_metric(_name):
        return Counted()

    clamped = Measure("first", "psnr", clamp=True, round8=False)
    same = Measure("second", "psnr", clamp=True, round8=False)
    rounded = Measure("third", "psnr", clamp=True, round8=True)
    track = (Track("u8"),)
    whole = Protocol("a", "a", "", "1", track, (clamped,))
    other = Protocol("b", "b", "", "1", track, (same, rounded))
    part = Protocol("c", "c", "", "1", track, (same,), {"set": (2, 10)})
    earlier = {}
    scores = {
        protocol.id: protocol.score(output, target, "set", create_metric, earlier_scores=earlier)
        for protocol in (whole, other, part)
    }
    assert len(calls) == 3  # clamped, rounded, and of the part
    for protocol in (whole, other, part):
        assert scores[protocol.id] == protocol.score(output, target, "set", create_metric)


def test_ties_round_to_even_as_in_the_released_scripts():
    """Values whose float32 product with 255 is a tie."""
    values = ((np.arange(255) + 0.5) / 255).astype(np.float32)
    ties = values[values * np.float32(255) % 1 == 0.5]
    output = np.resize(ties, (16, 16, 3))
    assert len(ties) > 100
    _, seen = spied(ruler((True, True)), output, output)
    expected = torch.round(torch.from_numpy(output) * 255.0).numpy()
    np.testing.assert_array_equal(np.rint(seen[0][0] * 255), expected)
    assert set(np.unique(expected % 2)) == {0}


def test_a_slice_is_for_its_data_set_only():
    output, target = pair()
    protocol = ruler((False, False), slices={"rtf": (4, 364)})
    assert spied(protocol, output, target, "rtf")[1][0][0].shape == (36, 36, 3)
    np.testing.assert_array_equal(spied(protocol, output, target, "rtf")[1][0][1], target[4:, 4:])
    assert spied(protocol, output, target, "dpd")[1][0][0].shape == (40, 40, 3)


def test_without_a_target_no_metric_is_asked():
    scores, seen = spied(CANONICAL, pair()[0], None)
    assert scores == [
        Score(measure.key, None, "no target", "skipped") for measure in CANONICAL.measures
    ]
    assert seen == []


@pytest.mark.parametrize(
    ("facts", "reason", "status"),
    [
        ({"lack": "no weights"}, "not available: no weights", "unavailable"),
        ({"error": Unavailable("gone")}, "not available: gone", "unavailable"),
        ({"error": ValueError("too small")}, "too small", "skipped"),
        ({"value": float("nan")}, "spy returned nan", "failed"),
        ({"value": float("inf")}, "spy returned inf", "failed"),
    ],
)
def test_what_cannot_be_measured_has_a_reason(facts, reason, status):
    scores, _ = spied(ruler((True, False)), *pair(), **facts)
    assert scores == [Score("m0", None, reason, status)]


def test_a_picture_below_a_window_loses_that_measure_only():
    output, target = pair(9)
    scores = {score.key: score for score in CANONICAL.score(output, target, "folder", metric)}
    assert [key for key, score in scores.items() if score.value is None] == ["ssim_g11", "lpips"]
    assert scores["ssim_g11"].reason == "SSIM g11 needs at least 11x11 pixels, the picture is 9x9"


def test_a_slice_that_holds_nothing_is_a_reason():
    scores = ruler((False, False), slices={"rtf": (50, 60)}).score(*pair(), "rtf", lambda _: Psnr())
    assert scores[0].value is None and "at least 1x1" in scores[0].reason


def test_a_bug_in_a_metric_is_a_failed_score():
    """It is the metric's failure, not the method's, and is told as such."""
    scores, _ = spied(ruler((True, False)), *pair(), error=ZeroDivisionError("by nought"))
    assert scores == [Score("m0", None, "failed: ZeroDivisionError: by nought", "failed")]


def test_pictures_in_two_geometries_are_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="not in one scoring geometry"):
        CANONICAL.score(pair(40)[0], pair(41)[1], "folder", metric)


@pytest.mark.parametrize(
    ("tracks", "measures"),
    [
        ((), (Measure("a", "psnr", True, False),)),
        ((Track("u8"), Track("u8", "crop", 8)), (Measure("a", "psnr", True, False),)),
        ((Track("u8"),), ()),
        ((Track("u8"),), (Measure("a", "psnr", True, False), Measure("a", "mae", True, False))),
    ],
)
def test_a_protocol_that_could_not_be_told_apart_is_refused(tracks, measures):
    with pytest.raises(ValueError, match="must be there and differ"):
        Protocol("p", "P", "here", "1", tracks, measures)
