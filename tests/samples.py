"""Inputs and weights that several tests take."""

import torch

from helpers import model as M
from helpers import task as T

SOME = T.full_sequences()[::1031]


def random_weights(kind="article", seed=0):
    """Weights far from their start, so that biases and layer norms matter."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: w + 0.3 * torch.randn(w.shape, generator=generator, dtype=w.dtype)
        for name, w in M.initial_weights(kind, seed).items()
    }


def random_zoo(kind="article", seeds=(0, 1)):
    each = [random_weights(kind, seed) for seed in seeds]
    return M.Zoo(kind, {k: torch.stack([w[k] for w in each]) for k in each[0]}, seeds)


def sequences_of(zoo, n=60):
    """`n` random sequences of the zoo's task and length."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, T.DIGITS, (n, zoo.length), generator=generator)
    return T.full_sequences(inputs, zoo.task, zoo.length)
