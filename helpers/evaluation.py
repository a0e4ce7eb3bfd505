"""How many tokens are right, on chosen sequences or on every input."""

from __future__ import annotations

import torch

from helpers import task
from helpers.model import Zoo, as_zoo

AT_ONCE = {True: 2048, False: 2**21}  # sequences times models, on a CPU (its caches) or not


def hits(logits: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Which tokens are right: bool `[..., n, length]` for logits `[..., n, length, vocab]` at the
    outputs, or at all positions, and sequences `[n, 2 * length + 1]`."""
    length = sequences.shape[-1] // 2
    return logits[..., -length:, :].argmax(-1) == sequences[..., -length:]


def accuracy(logits: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Share of the sequences with the right token, at y0, y1, ...: `[..., length]`; see `hits`."""
    return hits(logits, sequences).double().mean(-2)


def right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Which tokens are right: bool `[models, n, length]`, on `sequences` or on every input. `model`
    is a TransformerBridge or a `Zoo`, edited or not."""
    return torch.cat(list(_each_part(as_zoo(model), sequences)), 1)


def by_position(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Share of right tokens at each output: `[models, length]`; arguments as of `right`."""
    zoo = as_zoo(model)
    count = sum(hit.sum(1) for hit in _each_part(zoo, sequences))
    return count.double() / (task.DIGITS**zoo.length if sequences is None else len(sequences))


def n_right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """How many sequences have all tokens right: `[models]`; arguments as of `right`."""
    return sum(hit.all(-1).sum(-1) for hit in _each_part(as_zoo(model), sequences))


@torch.no_grad()
def _each_part(zoo: Zoo, sequences):
    """Yield `hits` `[models, part, length]` of parts of the sequences, in order."""
    for part in parts(zoo, sequences):
        yield hits(zoo(part), part)


def parts(zoo: Zoo, sequences: torch.Tensor | None = None):
    """`sequences`, or every one of the task, in parts that fit into the memory of these models."""
    if sequences is None:
        sequences = task.full_sequences(task=zoo.task, length=zoo.length)
    size = max(64, AT_ONCE[zoo.device.type == "cpu"] // len(zoo))
    return sequences.to(zoo.device).split(size)
