"""Inputs, weights and measures that several tests take."""

import torch

from helpers import model, plotting, task

SOME = task.full_sequences()[::1031]


def random_weights(kind="article", seed=0):
    """Weights far from their start, so that biases and layer norms matter."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: w + 0.3 * torch.randn(w.shape, generator=generator, dtype=w.dtype)
        for name, w in model.initial_weights(kind, seed).items()
    }


def random_zoo(kind="article", seeds=(0, 1)):
    each = [random_weights(kind, seed) for seed in seeds]
    return model.Zoo(kind, {k: torch.stack([w[k] for w in each]) for k in each[0]}, seeds)


def sequences_of(zoo, n=60):
    """`n` random sequences of the zoo's task and length."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, task.DIGITS, (n, zoo.length), generator=generator)
    return task.full_sequences(inputs, zoo.task, zoo.length)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours `#rrggbb`, from 1 to 21, as WCAG 2 defines it."""
    low, high = sorted(map(plotting.luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)
