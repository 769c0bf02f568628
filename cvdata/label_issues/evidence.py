"""A classifier's scores of a thousand classes against a label: log-odds and noise together."""

import numpy as np

from cvdata.label_issues.confident import F64, Doubt

START, STEPS = 0.05, 100
LEAST_RATE, MOST_RATE = 1e-4, 0.5
TINY = 1e-12


def log_odds(doubts: Doubt) -> F64:
    """(N,) natural log of the best other class's probability over the label's."""
    return np.log(np.maximum(doubts.other, TINY)) - np.log(np.maximum(doubts.given, TINY))


def wrong_probability(odds: F64, rate: float, n_classes: int) -> F64:
    """(N,) posterior that the label is wrong where labels are wrong at `rate`, evenly.

    By Bayes: a wrong label is any of the K - 1 others, so one class's claim must outweigh the
    label's by (1 - rate) (K - 1) / rate to be as likely as it.
    """
    prior = np.log(rate) - np.log1p(-rate) - np.log(max(n_classes - 1, 1))
    return np.asarray(1 / (1 + np.exp(-np.clip(odds + prior, -500, 500))), np.float64)


def estimated_rate(odds: F64, n_classes: int) -> float:
    """The rate at which the posteriors are wrong on average: expectation maximisation."""
    rate = START
    for _ in range(STEPS):
        if not len(odds):
            return rate
        mean = float(wrong_probability(odds, rate, n_classes).mean())
        moved = min(max(mean, LEAST_RATE), MOST_RATE)
        if abs(moved - rate) < 1e-9:
            return moved
        rate = moved
    return rate
