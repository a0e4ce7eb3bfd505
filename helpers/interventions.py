"""Ablate and patch: each intervention proves that it changes something.

Every function takes a TransformerBridge or a `Zoo` and returns a `Zoo` with edits, which
`helpers.evaluation` counts like any other. Zero, mean and resample ablation differ in what the rest
of the model gets to read: nothing, the average, or an honest value from another sequence (Chan et
al. 2022, "Causal scrubbing"; Heimersheim & Nanda 2024, "How to use and interpret activation
patching").
"""

from functools import partial

import numpy as np
import torch

from helpers import task
from helpers.evaluation import parts
from helpers.model import Zoo, as_zoo, edit_at

PARTS = {"attention": "attn_out", "mlp": "mlp_out"}
HOW = ("zero", "mean", "resample")
N_TRIED = 512  # random sequences on which an intervention has to change something


class NothingChanged(RuntimeError):
    """An intervention leaves the value, or everything downstream of it, exactly as it was."""


@torch.no_grad()
def intervene(model, edits: dict, effect: bool = True) -> Zoo:
    """`model` with `edits`: a place of `HOOKS` -> tensor, or function (value, tokens) -> value.

    A value is `[models, batch, length, ...]`, tokens are `[batch, 2 * length + 1]`. The edits are
    tried at once on fixed random sequences: NothingChanged when one gives back what it was given,
    or when the logits stay the same bit for bit; of a zoo, for any of its models. `effect=False`
    allows both, for controls. ValueError for a place that this model does not have; KeyError for
    one that is edited already.
    """
    plain = as_zoo(model)
    edited = plain.edited(edits)
    if not effect:
        return edited
    sample, unchanged = _sample(plain), {}

    def watched(place, value, tokens):
        new = edit_at(place, value, edited.edits, tokens)
        unchanged[f"the edit of {place!r} returned the value unchanged"] = _same(value, new)
        return new

    logits = plain.edited({place: partial(watched, place) for place in edits})(sample)
    unchanged[f"editing {', '.join(edits)} did not reach the logits"] = _same(plain(sample), logits)
    for what, same in unchanged.items():
        if same.any():
            seeds = ", ".join(str(seed) for seed, is_same in zip(plain.seeds, same) if is_same)
            raise NothingChanged(f"{what} in seed {seeds}, on {N_TRIED} random inputs")
    return edited


def _sample(zoo: Zoo) -> torch.Tensor:
    """Fixed random sequences `[N_TRIED, 2 * length + 1]` of the task of `zoo`."""
    inputs = np.random.default_rng(0).integers(0, task.DIGITS, (N_TRIED, zoo.length))
    return task.full_sequences(torch.from_numpy(inputs), zoo.task)


def _same(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    """For which models two values are the same bit for bit: bool `[models]`."""
    return (new == old).flatten(1).all(1)


@torch.no_grad()
def record(model, place: str, sequences: torch.Tensor) -> torch.Tensor:
    """The value at `place` of `HOOKS`, after its edit if any: `[models, n, length, ...]`."""
    zoo, seen = as_zoo(model), []
    task.one_of(place, zoo.places, "place in this model")

    def watched(value, tokens):
        seen.append(edit_at(place, value, zoo.edits, tokens))
        return seen[0]

    Zoo(zoo.kind, zoo.weights, zoo.seeds, edits={**zoo.edits, place: watched})(sequences)
    return seen[0]


def mean_of(model, place: str) -> torch.Tensor:
    """The mean at `place` over every input, output by output: `[models, 1, length, ...]`."""
    zoo = as_zoo(model)
    total = sum(record(zoo, place, part).sum(1, keepdim=True) for part in parts(zoo))
    return total / task.DIGITS**zoo.length


def ablate(
    model, part: str, how="zero", positions=None, neurons=None, seed: int = 0, effect: bool = True
) -> Zoo:
    """Silence a part: what it writes becomes zero, its mean, or its value on another sequence.

    part: "attention", "mlp", or a name of `HOOKS`. `positions` (0 for y0, ...) limits it to these
    outputs, `neurons` to these of "post". Means are over every input, output by output. Resampling
    pairs every sequence with another one by a fixed shuffle, drawn from `seed`. `effect` as in
    `intervene`; ValueError for a part or an ablation that is none, or a seed below 0.
    """
    zoo, place = as_zoo(model), PARTS.get(part, part)
    task.one_of(part, [*PARTS, *zoo.places], "part of this model")
    task.one_of(how, HOW, "ablation")
    value = record(zoo, place, _sample(zoo)[:1])  # one, to know its shape
    at, of = (torch.zeros(n, dtype=torch.bool) for n in (zoo.length, value.shape[-1]))
    at[slice(None) if positions is None else list(positions)] = True
    of[slice(None) if neurons is None else list(neurons)] = True
    silenced = (at[:, None] & of).to(zoo.device)
    mean = mean_of(zoo, place) if how == "mean" else torch.zeros_like(value)
    if how == "resample":
        every = task.full_sequences(task=zoo.task, length=zoo.length).to(zoo.device)
        others = every[torch.from_numpy(partners(len(every), seed))]

    def edit(value, tokens):
        if how != "resample":
            return torch.where(silenced, mean, value)
        paired = others[task.number(tokens[:, 1 : zoo.length + 1])]
        return torch.where(silenced, record(zoo, place, paired), value)

    return intervene(zoo, {place: edit}, effect)


def partners(n: int, seed: int = 0) -> np.ndarray:
    """Which of `n` inputs each is paired with in resampling `[n]`: a fixed shuffle."""
    return np.random.default_rng(task.whole(seed, "the seed")).permutation(n)


def ideal_pattern(length: int = task.LENGTH) -> torch.Tensor:
    """y_i looks at its source and nowhere else: `[length, 2 * length]`."""
    pattern = torch.zeros(length, 2 * length, dtype=torch.float64)
    pattern[range(length), range(length, 0, -1)] = 1  # x_{n-1-i} stands at n - i, behind BOS
    return pattern


def directions_of(model):
    """Where attention's output varies: (mean `[models, 1, length, d_model]`, directions
    `[models, d_model, d_model]`, shares `[models, d_model]`).

    Over all inputs and outputs, each output's mean taken away, and the mean of the vector, which
    layer norm takes away. The directions are rows, the one with most of the squared size first;
    `shares` is how much each has. Each points from the answers 2 to the answers 3: where the task
    is +1, from source 1 to source 2.
    """
    zoo = as_zoo(model)
    usual, squares = mean_of(zoo, "attn_out"), 0
    for part in parts(zoo):
        varying = record(zoo, "attn_out", part) - usual
        varying = (varying - varying.mean(-1, keepdim=True)).flatten(1, 2)
        squares = squares + varying.mT @ varying  # [models, d_model, d_model]
    sizes, columns = torch.linalg.eigh(squares)  # ascending
    directions = columns.flip(-1).mT
    sample = _sample(zoo)
    places = torch.einsum("mbld,mkd->mkbl", record(zoo, "attn_out", sample) - usual, directions)
    answers = sample[:, zoo.length + 1 :].to(places.device)
    right, left = (places[..., answers == token].mean(-1, keepdim=True) for token in (3, 2))
    directions = torch.where(right < left, -directions, directions)
    return usual, directions, sizes.flip(-1) / sizes.sum(-1, keepdim=True)


def one_direction(model):
    """Attention's output cut down to its mean and one number, along the first of `directions_of`:
    (edit of "attn_out", the share of that direction `[models]`)."""
    usual, directions, shares = directions_of(model)
    first = directions[:, 0]

    def edit(value, tokens):
        place = torch.einsum("mbld,md->mbl", value - usual, first)
        return usual + place[..., None] * first[:, None, None]

    return edit, shares[:, 0]
