"""Seeds: a function of (global seed, image_id, variant) and of nothing else."""

import hashlib
import math

import numpy as np


def seed_of(seed: int, image_id: bytes, variant: int) -> int:
    """The seed of one augmented image, 63 bits: blake2b of (seed, image_id, variant)."""
    text = f"{seed}:{image_id.hex()}:{variant}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def stream(seed: int, step: int) -> np.random.Generator:
    """The numbers that step `step` of a policy draws: streams of steps do not touch (Philox)."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in [low, high]."""
    return low + (high - low) * float(rng.random())


def log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in the logarithm: as often twice as large as half."""
    return math.exp(between(rng, math.log(low), math.log(high)))


def below(rng: np.random.Generator, n: int) -> int:
    """An integer in [0, n)."""
    return min(int(float(rng.random()) * n), n - 1)


def new_seed(rng: np.random.Generator) -> int:
    """A seed for noise that is too long to be written into params."""
    return below(rng, 1 << 48)


def beta(rng: np.random.Generator, alpha: float) -> float:
    """Beta(alpha, alpha); 1 where alpha is 0."""
    if alpha <= 0:
        return 1.0
    return float(rng.beta(alpha, alpha))
