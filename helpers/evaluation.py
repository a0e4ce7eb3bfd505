"""How many tokens are right, on chosen sequences or on every input."""

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


@torch.no_grad()
def right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Which tokens are right: bool `[models, n, length]`, on `sequences` or on every input. `model`
    is a TransformerBridge or a `Zoo`, edited or not."""
    zoo = as_zoo(model)
    return torch.cat([hits(zoo(part), part) for part in parts(zoo, sequences)], 1)


def by_position(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """Share of right tokens at each output: `[models, length]`; arguments as of `right`."""
    hit = right(model, sequences)
    return hit.sum(1).double() / hit.shape[1]


def n_right(model, sequences: torch.Tensor | None = None) -> torch.Tensor:
    """How many sequences have all tokens right: `[models]`; arguments as of `right`."""
    return right(model, sequences).all(-1).sum(-1)


def parts(zoo: Zoo, sequences: torch.Tensor | None = None):
    """`sequences`, or every one of the task, in parts that fit into the memory of these models."""
    if sequences is None:
        sequences = task.full_sequences(task=zoo.task, length=zoo.length)
    size = max(64, AT_ONCE[zoo.device.type == "cpu"] // len(zoo))
    return sequences.to(zoo.device).split(size)
