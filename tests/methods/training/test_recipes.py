"""The recipes: section 4 of the paper at the steps where something changes, budgets, schedules,
batches.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import checkpoints
from benchmark.api import UsageError
from benchmark.methods.training import recipes, records, start_weights
from benchmark.methods.training.job import create_network
from benchmark.methods.training.loader import Schedule
from benchmark.methods.training.recipes import (
    FAST,
    PAPER,
    Budget,
    Phase,
    Position,
    Recipe,
    find_recipe,
)
from benchmark.methods.training.step import restore_scales, take_step

if TYPE_CHECKING:
    from torch import Tensor

DPD = 350 // 4  # steps of an epoch


@pytest.mark.parametrize(
    ("epoch", "criterion", "rate"),
    [
        (0, "squared", 1e-4),
        (999, "squared", 1e-4),
        (1000, "ssim", 1e-4),
        (1499, "ssim", 1e-4),
        (1500, "squared", 1e-4),
        (1999, "squared", 1e-4),
        (2000, "ssim", 1e-5),
        (2499, "ssim", 1e-5),
        (2500, "squared", 1e-5),
        (2999, "squared", 1e-5),
    ],
)
def test_the_papers_recipe_epoch_by_epoch(epoch: int, criterion: str, rate: float) -> None:
    for within in (0, DPD - 1):
        progress = Position(step=epoch * DPD + within).progress(PAPER.budget, DPD)
        assert PAPER.phase(progress).criterion == criterion
        assert PAPER.rate(progress) == rate


def test_the_papers_recipe_in_numbers() -> None:
    assert {(phase.crop, phase.batch) for phase in PAPER.phases} == {(256, 4)}
    assert (PAPER.coarse, PAPER.clip, PAPER.average, PAPER.identity) == (1.0, None, 0.0, False)
    schedule = Schedule(PAPER, DPD)
    assert schedule.phase(Position(step=3000 * DPD - 1)) is not None
    assert schedule.phase(Position(step=3000 * DPD)) is None


def test_the_networks_trained_by_the_papers_recipe_are_its_own() -> None:
    structure = create_network("gkmnet").structure
    assert (structure["variant"], structure["scales"]) == ("paper", 3)


@pytest.mark.parametrize("name", ["srn", "attnet", "dpdnet-s", "dpdnet-d"])
def test_rivals_get_the_same_data_but_their_own_losses(name: str) -> None:
    made = find_recipe("paper", name)
    assert made.budget == PAPER.budget
    assert {(phase.crop, phase.batch, phase.criterion) for phase in made.phases} == {
        (256, 4, "squared")
    }


@pytest.mark.parametrize("name", ["restormer", "nrknet", "a-plug-in"])
def test_the_recipe_of_authors_is_not_made_up(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"has one for gkmnet, .* what trained {name} is not known"
    ):
        find_recipe("paper", name)
    assert find_recipe("fast", name).rate(Fraction(1, 50)) == pytest.approx(2e-4, rel=0.01)


def test_dpdnets_rate_is_halved_after_three_tenths() -> None:
    made = find_recipe("paper", "dpdnet-d")
    rates = [made.rate(Fraction(epoch, 200)) for epoch in (0, 59, 60, 119, 120, 179, 180, 199)]
    assert rates == [2e-5, 2e-5, 1e-5, 1e-5, 5e-6, 5e-6, 2.5e-6, 2.5e-6]


def test_srns_rate_falls_as_a_power() -> None:
    assert find_recipe("paper", "srn").rate(Fraction(3, 4)) == pytest.approx(1e-4 * 0.25**0.3)


def test_fast_warms_up_and_ends_at_nought() -> None:
    rates = [FAST.rate(Fraction(p)) for p in (0, FAST.warm_up, Fraction(1, 2), 1)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[1] == pytest.approx(1e-3, rel=0.01)
    assert rates[2] == pytest.approx(5e-4)
    assert rates[3] == 0


def test_the_weights_for_photographs_were_refined_after_their_recipe() -> None:
    facts = checkpoints.read_card(checkpoints.SHIPPED_FOLDER / "gkmnet.photo.safetensors").facts
    assert facts["recipe"] == records.describe_recipe(recipes.REFINE)
    assert facts["budget"] == str(recipes.REFINE.budget)
    assert str(facts["started from"]).startswith("gkmnet.photo (1000.05 megapixels)")


def test_fast_is_for_every_method_and_slower_without_normalisation() -> None:
    assert find_recipe("fast", "gkmnet") is FAST
    assert find_recipe("fast", "srn") == FAST.with_changes(rate=2e-4) != FAST


@given(st.fractions(0, 1))
def test_rates_stay_within_the_phases_own(progress: Fraction) -> None:
    for made in (FAST, *recipes.PAPER_RECIPES.values()):
        assert 0 <= made.rate(progress) <= made.phase(progress).rate


@given(st.integers(0, 10**6), st.integers(0, 10**12), st.floats(0, 1e6))
def test_progress_counts_in_the_budgets_unit(step: int, pixels: int, seconds: float) -> None:
    at = Position(step=step, pixels=pixels, seconds=seconds)
    assert at.progress(Budget(8, "steps"), 5) == Fraction(step, 8)
    assert at.progress(Budget(8, "epochs"), 5) == Fraction(step, 40)
    assert float(at.progress(Budget(8, "megapixels"), 5)) == pytest.approx(pixels / 8e6)
    assert float(at.progress(Budget(8, "minutes"), 5)) == pytest.approx(seconds / 480)


def toy(budget: Budget) -> Recipe:
    return Recipe(
        "toy", (Phase(1, 64, 4, "squared", 1.0), Phase(3, 128, 2, "squared", 1.0)), budget
    )


def test_batches_follow_the_phases_and_every_example_comes_once() -> None:
    batches = list(Schedule(toy(Budget(8, "steps")), 1).batches(Position(), lambda: 0.0))
    assert [batch[0][0] for batch in batches] == [64, 64, *[128] * 6]
    assert [index for batch in batches for _, index in batch] == list(range(2 * 4 + 6 * 2))


def test_a_budget_in_pixels_counts_crops() -> None:
    made = Schedule(
        toy(Budget(0.065536, "megapixels")), 1
    )  # a quarter is one batch of four 64 x 64, the rest 1.5
    sizes = [len(batch) * batch[0][0] ** 2 for batch in made.batches(Position(), lambda: 0.0)]
    assert sizes == [16384, 32768, 32768]


@given(st.integers(0, 7))
def test_batches_go_on_where_a_training_stopped(done: int) -> None:
    schedule = Schedule(toy(Budget(8, "steps")), 1)
    everything = list(schedule.batches(Position(), lambda: 0.0))
    at = Position(step=done, examples=sum(map(len, everything[:done])))
    assert list(schedule.batches(at, lambda: 0.0)) == everything[done:]


def test_processes_share_a_batch() -> None:
    whole = list(Schedule(toy(Budget(4, "steps")), 1).batches(Position(), lambda: 0.0))
    parts = [
        list(Schedule(toy(Budget(4, "steps")), 1, rank, 2).batches(Position(), lambda: 0.0))
        for rank in (0, 1)
    ]
    assert [first + second for first, second in zip(*parts, strict=True)] == whole


def test_changes_hold_in_every_phase() -> None:
    made = FAST.with_changes(crop=96, batch=3, budget=Budget(5, "steps"))
    assert {(phase.crop, phase.batch) for phase in made.phases} == {(96, 3)}
    assert str(made.budget) == "5 steps"
    assert FAST.with_changes() == FAST


@pytest.mark.parametrize("crop", [0, 48, 100])
def test_a_crop_that_does_not_fit_the_networks_is_refused(crop: int) -> None:
    with pytest.raises(UsageError, match=f"--crop {crop}: expected a multiple of 16"):
        FAST.with_changes(crop=crop)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: find_recipe("slow", "gkmnet"),
            "--recipe slow: expected paper or fast",
        ),
        (lambda: FAST.with_changes(batch=0), "--batch 0"),
        (lambda: Budget(0, "steps"), "--steps 0: expected a number above 0"),
        (lambda: Budget(float("nan"), "minutes"), "--minutes nan"),
    ],
)
def test_what_means_nothing_is_refused(make, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("gkmnet", True),
        ("gkmnet:head=sram,output=added", True),
        ("gkmnet:variant=official,output=added", True),
        ("attnet", True),
        ("srn", False),
        ("srn:output=added", True),
        ("dpdnet-s", False),
        ("dpdnet-s:output=added", True),
    ],
)
def test_residual_networks_start_as_the_identity(name: str, starts: bool) -> None:
    import torch

    torch.manual_seed(0)
    network = create_network(name).build_trainable().eval()
    assert start_weights.begin_as_identity(network) == starts
    if starts:
        x = torch.rand(1, 3, 64, 64)
        with torch.inference_mode():
            assert torch.equal(network(x), x)


def test_of_two_views_the_identity_is_their_mean() -> None:
    import torch

    network = create_network("dpdnet-d:output=added").build_trainable().eval()
    assert start_weights.begin_as_identity(network)
    views = torch.rand(1, 6, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(views), (views[:, :3] + views[:, 3:]) / 2)


@pytest.mark.parametrize("text", ["gkmnet", "gkmnet:head=sram,output=added", "srn:output=added"])
def test_every_scale_starts_as_the_identity(text: str) -> None:
    import torch

    network = create_network(text).build_trainable().eval()
    start_weights.begin_as_identity(network)
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for output, picture in zip(restore_scales(network, x), pyramid_of(x), strict=True):
            assert torch.equal(output, picture)


def pyramid_of(x: Tensor) -> list[Tensor]:
    from benchmark.methods.learned.networks.srn import build_srn_pyramid

    return build_srn_pyramid(x)


@pytest.mark.parametrize(
    ("text", "fed", "last"),
    [
        ("gkmnet:head=sram,output=added", 3, "mixes."),
        ("srn:output=added", 3, "leave_fine.3."),
        ("dpdnet-s:output=added", 3, "out.2."),
        ("dpdnet-d:output=added", 6, "out.2."),
    ],
)
def test_at_the_identity_the_last_layer_learns_first(text: str, fed: int, last: str) -> None:
    """Its zeros hide from all that lies before it how it should change, for one step."""
    import torch

    torch.manual_seed(0)
    network = create_network(text).build_trainable()
    start_weights.begin_as_identity(network)
    start_weights.open_last_rectifier(network)
    blurred, sharp = torch.rand(1, fed, 64, 64), torch.rand(1, 3, 64, 64)
    adam = torch.optim.Adam(network.parameters())
    learners: list[set[str]] = []
    for _ in range(2):
        take_step(network, adam, blurred, sharp, criterion="squared", rate=1e-3)
        learners.append(
            {
                name
                for name, value in network.named_parameters()
                if value.grad is not None and value.grad.any()
            }
        )
    last_layer = {name for name, _ in network.named_parameters() if name.startswith(last)}
    assert learners[0] == last_layer != set()
    assert len(learners[1]) > 10 * len(last_layer)


@pytest.mark.parametrize("text", ["gkmnet:variant=official", "gkmnet:head=sram"])
def test_forms_that_are_not_residual_keep_their_weights(text: str) -> None:
    assert not start_weights.begin_as_identity(create_network(text).build())


@pytest.mark.parametrize(("name", "fed"), [("dpdnet-s", 3), ("dpdnet-d", 6)])
@pytest.mark.parametrize("output", ["published", "added"])
def test_the_last_rectifier_of_dpdnet_starts_open(name: str, fed: int, output: str) -> None:
    import torch

    from benchmark.methods.learned.networks.dpdnet import DpdNet

    torch.manual_seed(0)
    network = create_network(f"{name}:output={output}").build_trainable().eval()
    assert isinstance(network, DpdNet)
    seen: list[torch.Tensor] = []
    network.out[1].register_forward_hook(
        lambda module, given, made: seen.append((made > 0).float().mean((0, 2, 3)))
    )
    pictures = torch.rand(2, fed, 32, 32)
    with torch.inference_mode():
        network(pictures)
        assert start_weights.open_last_rectifier(network)
        made = network(pictures)
    assert seen[0].min() < 0.5, "as it is drawn, a channel is shut"
    assert seen[1].min() > 0.98
    if output == "published":
        assert (made - 0.5).abs().mean() < 0.15
    assert not start_weights.open_last_rectifier(create_network("srn").build_trainable())


def test_the_form_that_is_trained_has_the_plain_forms_entries_and_results() -> None:
    import torch

    method = create_network("gkmnet")
    plain, fast = method.build().eval(), method.build_trainable().eval()
    fast.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(plain(x), fast(x), atol=1e-5)


def test_first_filters_whiten_what_the_network_is_fed() -> None:
    import torch

    from benchmark.methods.learned.networks.gkmnet import GkmNet

    torch.manual_seed(0)
    network = create_network("gkmnet").build_trainable().eval()
    assert isinstance(network, GkmNet)
    pictures = torch.rand(200, 3, 1, 1) + 0.01 * torch.rand(
        200, 3, 16, 16
    )  # brightness, and faint details
    assert start_weights.whiten_first_filters(network, pictures) == 1
    with torch.no_grad():
        made = (
            network.srams[0]
            .get_submodule("entrance.conv")(pictures)[:, :, 1:-1, 1:-1]
            .transpose(0, 1)
            .flatten(1)
        )
    assert made.mean(1).abs().max() < 0.01
    assert (
        torch.corrcoef(made[:27]) - torch.eye(27)
    ).abs().max() < 0.05  # the rims of the pictures are left out here
    strength = made.var(1)
    assert strength[:3] == pytest.approx(
        1, abs=0.01
    )  # far above the floor; the others are at 1e-4 / 12
    assert torch.all((strength[3:27] > 0.3) & (strength[3:27] < 0.7))
    assert torch.allclose(made[27:], -made[:5], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "fed", "beside"),
    [("srn", 3, 3), ("attnet", 3, 3), ("dpdnet-s", 3, 0), ("dpdnet-d", 6, 0)],
)
def test_what_a_rival_sees_beside_the_picture_keeps_its_weights(
    name: str, fed: int, beside: int
) -> None:
    import torch

    network = create_network(name).build_trainable().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert start_weights.whiten_first_filters(network, torch.rand(2, fed, 32, 32)) == 1
    changed = [
        key for key, value in network.state_dict().items() if not torch.equal(value, before[key])
    ]
    weight, bias = sorted(changed, key=lambda key: key.endswith("bias"))
    layer, old = network.state_dict()[weight], before[weight]
    assert bias == weight.removesuffix("weight") + "bias"
    assert torch.equal(layer[:, fed:], old[:, fed:]) and layer.shape[1] == fed + beside
    assert torch.equal(
        layer[18 * fed :], old[18 * fed :]
    )  # there are 9 components for each channel, and both signs
    with torch.inference_mode():
        assert network(torch.rand(1, fed, 32, 32)).isfinite().all()


@pytest.mark.parametrize(
    "text", ["gkmnet:rounds=2,shared=false", "gkmnet:variant=official,head=sram"]
)
def test_every_network_that_sees_the_picture_whitens_it(text: str) -> None:
    import torch

    network = create_network(text).build().eval()
    count = 2 if "rounds" in text else 1
    assert start_weights.whiten_first_filters(network, torch.rand(1, 3, 32, 32)) == count
