"""Which means of a column are marked: the best and the second best, with all that the paired test
cannot tell from them.

The best is the best mean. A method whose paired difference to it is not significant is marked like
it: p of `benchmark.stats.compare`, adjusted by Holm for the number of methods compared with the
best, at 5 % two-sided. Where no difference to the best is significant, a mark would say nothing,
and there is none. The second best are the same among the rest. The input is compared, but never
marked.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from benchmark.metrics.protocol_cards import MeasureCard
from benchmark.stats import (
    ALPHA,
    adjust_p_values,
    compare,
    count_scenes_to_show,
    estimate_detectable_difference,
    subtract_paired_scores,
)

INPUT = "input"
"""Id of the method that restores nothing."""
ScoresByMethod = Mapping[str, Mapping[str, float]]
"""Method -> scene -> score, the mean of its pictures; every method on the same scenes."""


class Mark(enum.StrEnum):
    """What a number of a table is marked for; `benchmark.reports.grid` alone decides how that
    looks.
    """

    best = "best"
    """The best mean of its column, or not to be told from it."""
    second = "second"
    """The same among the rest."""
    significant = "shown"
    """A difference that the test shows."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The marks of a column, and what they rest on.

    Attributes:
        compared: number of methods.
        scenes: number of scenes.
        marks: method -> mark, of those that have one.
        like_best: methods that cannot be told from the best; the input among them.
        detectable: the median, over the methods compared with the best, of the least difference to
            it that so many scenes show with a power of 80 % at the first step of Holm's rule; None
            where none can be estimated.
    """

    compared: int
    scenes: int
    marks: Mapping[str, Mark] = field(default_factory=dict)
    like_best: tuple[str, ...] = ()
    detectable: float | None = None

    @property
    def is_testable(self) -> bool:
        """Whether so many scenes can show a difference between so many methods."""
        return self.scenes >= count_scenes_to_show(self.compared - 1)


def rank_column(scores: ScoresByMethod, *, higher_is_better: bool) -> Ranking | None:
    """Return the marks of a column; None where fewer than two methods compete.

    Args:
        scores: of the methods that compete.
        higher_is_better: which end of the scores is best.
    """
    if len(scores) < 2 or set(scores) == {INPUT}:
        return None
    scenes = min(map(len, scores.values()))
    best = _find_best(scores, higher_is_better)
    ranking = Ranking(len(scores), scenes, detectable=_estimate_detectable(scores, best))
    if not ranking.is_testable:
        return ranking
    like_best = _find_equals(scores, best)
    marks: dict[str, Mark] = {}
    if _surpasses_another(scores, best, like_best, higher_is_better):
        marks = dict.fromkeys((best, *like_best), Mark.best)
        rest = {name: column for name, column in scores.items() if name not in marks}
        if set(rest) - {INPUT}:
            second = _find_best(rest, higher_is_better)
            marks |= dict.fromkeys((second, *_find_equals(rest, second)), Mark.second)
    marks.pop(INPUT, None)
    return Ranking(len(scores), scenes, marks, like_best, ranking.detectable)


def _surpasses_another(
    scores: ScoresByMethod, best: str, like_best: Sequence[str], higher_is_better: bool
) -> bool:
    """Return whether the best is shown to be better than something: any other method of lower mean,
    or the input, whose mean may be better.
    """
    sign = 1 if higher_is_better else -1
    best_mean = fmean(scores[best].values())
    return any(
        sign * fmean(column.values()) < sign * best_mean
        for method, column in scores.items()
        if method not in (best, *like_best)
    )


def _find_best(scores: ScoresByMethod, higher_is_better: bool) -> str:
    """Return the method of the best mean; the input restores nothing, and so is never it."""
    sign = 1 if higher_is_better else -1
    methods = [method for method in sorted(scores) if method != INPUT]
    return max(methods, key=lambda method: sign * fmean(scores[method].values()))


def _find_equals(scores: ScoresByMethod, best: str) -> tuple[str, ...]:
    """Return the methods that cannot be told from the best."""
    others = [method for method in scores if method != best]
    adjusted = adjust_p_values(
        [compare(*_align_scores(scores[best], scores[method])).p for method in others]
    )
    return tuple(method for method, p in zip(others, adjusted, strict=True) if p > ALPHA)


def _estimate_detectable(scores: ScoresByMethod, best: str) -> float | None:
    others = [method for method in scores if method != best]
    alpha = ALPHA / len(others)
    estimates = [
        estimate_detectable_difference(
            subtract_paired_scores(*_align_scores(scores[best], scores[method])), alpha=alpha
        )
        for method in others
    ]
    numbers = [estimate for estimate in estimates if estimate is not None]
    return median(numbers) if numbers else None


def _align_scores(
    a: Mapping[str, float], b: Mapping[str, float]
) -> tuple[Sequence[float], Sequence[float]]:
    return [a[scene] for scene in a], [b[scene] for scene in a]


# Legend
# --------------------------------------------------------------------------------------------------

MARKS_LEGEND = (
    "Bold: the best mean, and every other that cannot be told from it (paired test, Holm over "
    "the comparisons with the best, 5 %); italic: the same among the rest. A column where nothing "
    "can be told from the best has no marks; the input never has one."
)


def explain_marks(
    rankings: Mapping[str, Ranking], cards: Mapping[str, MeasureCard]
) -> Iterator[str]:
    """Yield what the marks of one noise level mean, and how many methods share the best place.

    Args:
        rankings: measure key -> ranking, of the measures that have one.
        cards: measure key -> card.
    """
    if any(ranking.marks for ranking in rankings.values()):
        yield MARKS_LEGEND
    tested = {key: ranking for key, ranking in rankings.items() if ranking.is_testable}
    if tested:
        counts = [_count_like_best(ranking, cards[key]) for key, ranking in tested.items()]
        yield f"Not to be told from the best: {', '.join(counts)}."
    for methods, scenes in sorted({(r.compared, r.scenes) for r in rankings.values()}):
        if scenes < count_scenes_to_show(methods - 1):
            yield explain_too_few(methods, scenes)
    yield from _explain_power(tested, cards)


def _count_like_best(ranking: Ranking, card: MeasureCard) -> str:
    return f"{card.title} {len(ranking.like_best)} of {ranking.compared - 1}"


def explain_too_few(methods: int, scenes: int) -> str:
    """Return why nothing is marked where so few scenes cannot show any difference between so many
    methods.
    """
    needed = count_scenes_to_show(methods - 1)
    return (
        f"No marks: n = {scenes} is too few for any test between {methods} methods at "
        f"{100 * ALPHA:g} %; n = {needed} can show a difference."
    )


def _explain_power(
    rankings: Mapping[str, Ranking], cards: Mapping[str, MeasureCard]
) -> Iterator[str]:
    texts = []
    for key, ranking in rankings.items():
        if ranking.detectable is not None:
            card = cards[key]
            unit = f" {card.unit}" if card.unit else ""
            texts.append(
                f"{card.title} {_format_small_number(ranking.detectable, card.digits)}{unit}"
            )
    if texts:
        scenes = "–".join(map(str, sorted({r.scenes for r in rankings.values()})))
        yield (
            f"A true difference to the best that n = {scenes} shows with a power of 80 % (median "
            f"over the methods): {', '.join(texts)}."
        )


def _format_small_number(number: float, digits: int) -> str:
    """Return a positive number with its usual decimals, or with one digit that is not 0."""
    text = f"{number:.{digits}f}"
    return text if float(text) else f"{number:.1g}"
