"""How often tests of paired differences err, simulated where no method is better.

`python -m tests.error_rates` measures the table that is committed as
`results/measured/statistics/error_rates.md`; it takes some minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from benchmark.arrays import Float64Array
from benchmark.results.notes import this_suite
from benchmark.stats import ALPHA, compute_bootstrap_p

PATH: Final = Path("results/measured/statistics/error_rates.md")
SCENES: Final = (12, 24, 76)
SKEWS: Final = (0.0, 1.0, 2.0)
FAMILY: Final = 8
_CHUNK: Final = 40
"""Comparisons at a time: what is resampled then stays in the processor's cache."""


def draw_differences(
    skew: float, comparisons: int, scenes: int, rng: np.random.Generator
) -> Float64Array:
    """Return comparisons x scenes differences with mean 0: normal, or gamma of that skewness (2 is
    the exponential distribution).
    """
    if not skew:
        return rng.normal(0, 1, (comparisons, scenes))
    shape = 4 / skew**2
    return rng.gamma(shape, 1, (comparisons, scenes)) - shape


def compute_student_p(samples: Float64Array) -> Float64Array:
    """Return p of Student's paired test of every row."""
    from scipy import stats

    return np.asarray(stats.ttest_1samp(samples, 0, axis=1).pvalue)


def compute_wilcoxon_p(samples: Float64Array) -> Float64Array:
    """Return p of Wilcoxon's signed ranks of every row, by the normal approximation."""
    from scipy import stats

    return np.asarray(stats.wilcoxon(samples, axis=1, method="approx").pvalue)


TESTS: Final[Mapping[str, Callable[[Float64Array], Float64Array]]] = {
    "studentised bootstrap": compute_bootstrap_p,
    "Student": compute_student_p,
    "Wilcoxon": compute_wilcoxon_p,
}


def simulate_p(
    compute_p: Callable[[Float64Array], Float64Array],
    skew: float,
    comparisons: int,
    scenes: int,
    rng: np.random.Generator,
) -> Float64Array:
    """Return p of comparisons in which no method is better."""
    chunks = [
        compute_p(draw_differences(skew, min(_CHUNK, comparisons - start), scenes, rng))
        for start in range(0, comparisons, _CHUNK)
    ]
    return np.concatenate(chunks)


def single_error_rate(p: Float64Array) -> float:
    """Return how often a single test errs."""
    return float((p <= ALPHA).mean())


def family_error_rate(p: Float64Array) -> float:
    """Return how often a family of independent tests errs at least once under Holm, which is when
    its least p is at most 5 % divided by their number.
    """
    families = p.reshape(-1, FAMILY)
    return float((FAMILY * families.min(axis=1) <= ALPHA).mean())


def measure_error_rates(repetitions: int, scenes: int, skew: float) -> dict[str, float]:
    """Return column -> share of wrong decisions, of so many tests and so many families."""
    rates = {}
    for name, compute_p in TESTS.items():
        rng = np.random.default_rng((scenes, int(10 * skew)))
        rates[name] = single_error_rate(simulate_p(compute_p, skew, repetitions, scenes, rng))
        if compute_p is compute_bootstrap_p:
            p = simulate_p(compute_p, skew, repetitions * FAMILY, scenes, rng)
            rates[f"family of {FAMILY}"] = family_error_rate(p)
    return rates


def format_table(rates: Mapping[tuple[int, float], Mapping[str, float]], repetitions: int) -> str:
    """Return the table as Markdown, in per cent."""
    columns = list(next(iter(rates.values())))
    lines = [
        "### How often a difference is called shown where there is none",
        "",
        f"| scenes | skewness | {' | '.join(f'{column} (%)' for column in columns)} |",
        f"|---:|---:|{'---:|' * len(columns)}",
    ]
    for (scenes, skew), row in rates.items():
        texts = [f"{100 * row[column]:.1f}" for column in columns]
        lines.append(f"| {scenes} | {skew:g} | {' | '.join(texts)} |")
    lines += [
        "",
        f"- {repetitions} tests, and {repetitions} families of {FAMILY} independent tests, at "
        f"{100 * ALPHA:g} % two-sided, of differences with mean 0: normal (skewness 0) or gamma.",
        f"- Family of {FAMILY}: at least one wrong decision under Holm, by the studentised "
        "bootstrap. Each rate has a standard error of 0.2 to 0.3 points.",
        "- Student and Wilcoxon decide nothing in this suite; they are here to compare with.",
        f"- Made by `python -m tests.error_rates`, {this_suite()}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=PATH)
    options = parser.parse_args()
    rates = {}
    for scenes, skew in product(SCENES, SKEWS):
        rates[scenes, skew] = measure_error_rates(options.repetitions, scenes, skew)
        print(scenes, skew, rates[scenes, skew], flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(format_table(rates, options.repetitions), encoding="utf-8")


if __name__ == "__main__":
    main()
