"""Training many models at once, and evaluating them on every input.

`train` is the loop of notebook 03 with one more axis in front: stacked weights, one batch and one
gradient norm for each model, AdamW on all of them together. A model that has reached the criterion
leaves the stack, so the others go on faster.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from helpers import task as T
from helpers.model import (
    KINDS,
    WEIGHTS,
    Zoo,
    forward,
    get_kind,
    in_parts,
    initial_weights,
    load,
    logits,
    save,
)

# The tensors here are so small that a second thread costs more than it brings, above all on a busy
# machine. Two processes, as in `sweep`, use two cores.
torch.set_num_threads(1)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained. Rates per step; `epochs` is the most passes over the train set."""

    lr: float = 5e-2
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    batch: int = 128
    epochs: int = 7
    clip: float = 1.0  # largest gradient norm
    patience: int = 50  # stop after so many batches in a row without one wrong token

    def lr_at(self, step: int) -> float:
        """Cosine decay from `lr` at step 0 to zero at the last step."""
        return self.lr * 0.5 * (1 + math.cos(math.pi * step / self.max_steps))

    @property
    def max_steps(self) -> int:
        return self.epochs * (T.N_TRAIN // self.batch)


RECIPE = Recipe()
RECIPES = {"sum_pairs": Recipe(lr=1e-2), "sum_pairs_no_mlp": Recipe(lr=1e-2)}


def recipe_of(kind: str) -> Recipe:
    """The recipe by which models of `kind` are trained here."""
    get_kind(kind)
    return RECIPES.get(kind, RECIPE)


def to_grid(gradient: torch.Tensor) -> torch.Tensor:
    """`gradient` rounded to multiples of 2**-20 (about one millionth).

    Training from small weights at a high rate is chaotic: a difference in the 17th digit, such as
    between two processors, grows by a factor of ten every dozen steps. Rounded gradients are equal
    on both, so the difference never enters the weights that the next step starts from.
    """
    return (gradient * 2**20).round() / 2**20


def batches(train_set: torch.Tensor, seed: int, recipe: Recipe = RECIPE):
    """Yield batches `[batch, 17]`, epoch after epoch, each epoch in a new numpy permutation."""
    rng = np.random.default_rng([seed, 1])  # not the stream that drew the initial weights
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(len(train_set)))
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            yield train_set[order[start : start + recipe.batch]]


def train(
    kind: str,
    seeds,
    recipe: Recipe | None = None,
    max_steps: int | None = None,
    on_step: Callable | None = None,
) -> tuple[Zoo, dict]:
    """Train one model of `kind` for each seed, all together. Returns (zoo, history).

    history: `loss` `[steps, models]` (nats per output token) and `accuracy` `[steps, models, 8]`
    on the batch of that step, NaN after a model has stopped; `steps` `[models]`; `stopped`: whether
    the criterion was met. `on_step(step, loss, accuracy)` is called after each step with the rows
    of the models still training; a true answer ends the run. The hold-out is never looked at.
    """
    seeds, recipe = [int(s) for s in seeds], recipe or recipe_of(kind)
    if not seeds or min(seeds) < 0:
        raise ValueError(f"got the seeds {seeds}; allowed is at least one, none below 0")
    train_set, _ = T.split(T.full_sequences(task=get_kind(kind).task))
    streams = [batches(train_set, seed, recipe) for seed in seeds]
    each = [initial_weights(kind, seed) for seed in seeds]
    weights = {k: torch.stack([w[k] for w in each]).requires_grad_() for k in each[0]}
    make = lambda w: torch.optim.AdamW(
        w.values(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    optimizer = make(weights)
    alive, streak = torch.arange(len(seeds)), torch.zeros(len(seeds))
    final, last_step = [None] * len(seeds), torch.zeros(len(seeds), dtype=torch.long)
    stopped = torch.zeros(len(seeds), dtype=torch.bool)
    losses, accuracies = [], []

    def put_away(rows):
        for row in rows:
            final[alive[row]] = {k: v[row].detach().clone() for k, v in weights.items()}

    total = min(recipe.max_steps, max_steps or recipe.max_steps)
    for step in range(total):
        batch = torch.stack([next(streams[i]) for i in alive])
        wanted = batch[:, :, 9:]
        out = forward(weights, batch)
        loss = F.cross_entropy(out.flatten(0, 2), wanted.flatten(), reduction="none")
        loss = loss.view(len(alive), -1).mean(1)
        optimizer.zero_grad()
        loss.sum().backward()  # models share nothing: each gets the gradient of its own loss
        _clip(weights, recipe.clip)
        for w in weights.values():
            w.grad = to_grid(w.grad)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        optimizer.step()

        right = (out.argmax(-1) == wanted).double().mean(1)
        for record, row in ((losses, loss.detach()), (accuracies, right)):
            full = torch.full((len(seeds), *row.shape[1:]), math.nan, dtype=torch.float64)
            full[alive] = row
            record.append(full)
        streak = torch.where((right == 1).all(1), streak + 1, 0)
        last_step[alive] = step + 1
        if on_step is not None and on_step(step, loss.detach(), right):
            break
        done = streak >= recipe.patience
        if done.any():
            put_away(done.nonzero().flatten().tolist())
            stopped[alive[done]] = True
            keep = (~done).nonzero().flatten()
            alive, streak = alive[keep], streak[keep]
            if not len(alive):
                break
            old, old_state = weights, optimizer.state
            weights = {k: v.detach()[keep].requires_grad_() for k, v in old.items()}
            optimizer = make(weights)
            for name, value in weights.items():
                state = old_state[old[name]]
                optimizer.state[value] = {
                    k: s[keep] if s.dim() else s for k, s in state.items()
                }  # `step` is a scalar, the moments have a models axis
    put_away(range(len(alive)))
    stacked = {k: torch.stack([w[k] for w in final]) for k in final[0]}
    history = dict(loss=torch.stack(losses), accuracy=torch.stack(accuracies))
    return Zoo(kind, stacked, seeds), history | dict(steps=last_step, stopped=stopped)


def _clip(weights, limit):
    """Scale the gradient of each model to at most `limit`, as torch's clip_grad_norm_ does."""
    norm = sum(w.grad.flatten(1).pow(2).sum(1) for w in weights.values()).sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1)
    for w in weights.values():
        w.grad *= scale.view(-1, *[1] * (w.dim() - 1))


# ---------------------------------------------------------------- evaluation


@torch.no_grad()
def right(model, sequences: torch.Tensor) -> torch.Tensor:
    """Which tokens are right: bool `[n, 8]`, or `[models, n, 8]` for a zoo.

    `model` is a TransformerBridge, a `Zoo`, or any function from tokens to logits at y0..y7, such
    as what `helpers.interventions` returns.
    """
    run = partial(logits, model) if isinstance(model, (Zoo, torch.nn.Module)) else model

    def hits(tokens):
        return run(tokens).argmax(-1) == tokens[:, 9:]

    return torch.cat(in_parts(hits, model, sequences), dim=-2)


def by_position(model, sequences: torch.Tensor) -> torch.Tensor:
    """Share of right tokens at y0..y7: `[8]`, or `[models, 8]`."""
    return right(model, sequences).double().mean(-2)


def n_right(model, sequences: torch.Tensor) -> torch.Tensor:
    """How many sequences have all eight tokens right: a count, or `[models]` counts."""
    return right(model, sequences).all(-1).sum(-1)


def only_exact(zoo: Zoo) -> Zoo:
    """The models of `zoo` that are right on every sequence of their task; counted, not looked up."""
    return zoo.where(n_right(zoo, T.full_sequences(task=get_kind(zoo.kind).task)) == T.N_SEQUENCES)


# ---------------------------------------------------------------- sweeps


def sweep(
    kind: str,
    seeds,
    recipe: Recipe | None = None,
    max_steps: int | None = None,
    shard: int = 8,
    n_jobs: int = 2,
    folder=None,
) -> tuple[Zoo, dict]:
    """`train` in shards of `shard` seeds through joblib, and evaluate on all 65,536 sequences.

    Returns (zoo, history) as `train` does, the zoo's info holding `n_right`, `steps`, `stopped`.
    With `folder`, each finished shard is kept there and a sweep that was interrupted goes on from
    them. Inside `joblib.parallel_config(backend="dask")` the shards go to a Dask cluster.
    """
    from joblib import Parallel, delayed

    seeds, recipe = [int(s) for s in seeds], recipe or recipe_of(kind)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"got the seeds {seeds}; allowed is at least one, each once")
    shards = [seeds[i : i + shard] for i in range(0, len(seeds), shard)]
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_train_shard)(kind, part, recipe, max_steps, folder) for part in shards
    )
    stack = {k: torch.cat([p[0][k] for p in parts]) for k in parts[0][0]}
    history = {k: torch.cat([p[1][k] for p in parts]) for k in ("steps", "stopped", "n_right")}
    longest = max(len(p[1]["loss"]) for p in parts)
    for name in ("loss", "accuracy"):
        padded = []
        for _, record in parts:
            value = record[name]
            rest = torch.full((longest - len(value), *value.shape[1:]), math.nan).double()
            padded.append(torch.cat([value, rest]))
        history[name] = torch.cat(padded, dim=1)
    info = {k: history[k].tolist() for k in ("n_right", "steps", "stopped")}
    return Zoo(kind, stack, seeds, info), history


def _train_shard(kind, seeds, recipe, max_steps, folder):
    """Train, evaluate and keep one shard; or read it back if the same one was finished before."""
    what = dict(
        kind=kind, seeds=seeds, recipe=dataclasses.asdict(recipe), max_steps=max_steps,
        model=dataclasses.asdict(get_kind(kind)),
    )  # fmt: skip
    path = None
    if folder is not None:
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
        path = Path(folder) / f"{kind}-{seeds[0]}-{key}.safetensors"
        if path.exists() and path.with_suffix(".json").exists():
            tensors, _ = load(path)
            split = {"weights": {}, "history": {}}
            for name, value in tensors.items():
                part, _, rest = name.partition("/")
                split[part][rest] = value
            return split["weights"], split["history"]
    zoo, history = train(kind, seeds, recipe, max_steps)
    history["n_right"] = n_right(zoo, T.full_sequences(task=get_kind(kind).task))
    if path is not None:
        tensors = {f"weights/{k}": v for k, v in zoo.weights.items()}
        save(path, tensors | {f"history/{k}": v for k, v in history.items()}, what)
    return zoo.weights, history


# ---------------------------------------------------------------- the zoo


def make_zoo(path=WEIGHTS / "zoo.safetensors", seeds=range(32), folder=None) -> None:
    """Train `seeds` of every kind by its recipe and write them to `path`, failed ones included.

    The note records, for each kind and seed: steps, whether the criterion was met, how many of the
    65,536 sequences are right, and the first losses, by which a test retraces the runs.
    """
    tensors, kinds = {}, {}
    for kind in KINDS:
        zoo, history = sweep(kind, seeds, folder=folder)
        tensors |= {f"{kind}/{name}": value for name, value in zoo.weights.items()}
        kinds[kind] = zoo.info | {
            "seeds": zoo.seeds,
            "recipe": dataclasses.asdict(recipe_of(kind)),
            "model": dataclasses.asdict(get_kind(kind)),
            "first_losses": [
                [round(v, 10) for v in row] for row in history["loss"][:20].T.tolist()
            ],
        }
        print(f"{kind}: {sum(n == T.N_SEQUENCES for n in zoo.info['n_right'])} exact", flush=True)
    save(path, tensors, {"kinds": kinds})


if __name__ == "__main__":
    make_zoo(folder=sys.argv[1] if len(sys.argv) > 1 else None)
