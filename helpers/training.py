"""Training many models at once, and sweeps over many seeds.

`train` is the loop of notebook 03 with one more axis in front: stacked weights, one batch and one
gradient norm for each model, AdamW on all of them together. A model that has reached the criterion
leaves the stack, so the others go on faster.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from helpers import task as T
from helpers.evaluation import by_position, n_right, one_thread
from helpers.model import Kind, Zoo, forward, get_kind, initial_weights
from helpers.storage import load, save


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


def recipe_of(kind: str | Kind) -> Recipe:
    """The recipe by which models of `kind` are trained here."""
    return RECIPES.get(kind, RECIPE) if get_kind(kind) is not kind else RECIPE


def to_grid(gradient: torch.Tensor) -> torch.Tensor:
    """`gradient` rounded to multiples of 2**-20 (about one millionth).

    Training from small weights at a high rate is chaotic: a difference in the 17th digit, such as
    between two processors, grows by a factor of ten every dozen steps. Rounded gradients are equal
    on both, so the difference never enters the weights that the next step starts from.
    """
    return (gradient * 2**20).round() / 2**20


def batches(sequences: torch.Tensor, seed: int, recipe: Recipe = RECIPE) -> Iterator[torch.Tensor]:
    """Yield batches `[batch, 17]`, epoch after epoch, each epoch in a new numpy permutation."""
    rng = np.random.default_rng([seed, 1])  # not the stream that drew the initial weights
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(len(sequences)))
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            yield sequences[order[start : start + recipe.batch]]


def random_batches(task: str, length: int, seed: int, recipe: Recipe) -> Iterator[torch.Tensor]:
    """Yield batches `[batch, 2 * length + 1]` of random inputs, for a task too long to list."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(recipe.max_steps):
        inputs = torch.from_numpy(rng.integers(0, T.DIGITS, (recipe.batch, length)))
        yield T.full_sequences(inputs, task, length)


def train(
    kind: str | Kind,
    seeds,
    recipe: Recipe | None = None,
    max_steps: int | None = None,
    on_step: Callable | None = None,
    device="cpu",
    orders=None,
) -> tuple[Zoo, dict]:
    """Train one model of `kind` for each seed, all together. Returns (zoo, history).

    A seed draws a model's start and the order of its batches; `orders` are the seeds that draw the
    latter where they are others.

    history: `loss` `[steps, models]` (nats per output token) and `accuracy`
    `[steps, models, length]` on the batch of that step, NaN after a model has stopped; `steps`
    `[models]`; `stopped`: whether the criterion was met. `on_step(step, loss, accuracy)` is called
    after each step with the rows of the models still training; a true answer ends the run.
    `max_steps` is at most the recipe's, and 0 means none. The hold-out is never looked at.
    ValueError for no seeds or one below 0, and for what are no whole numbers.
    """
    seeds, recipe = T.whole_numbers(seeds, "seeds"), recipe or recipe_of(kind)
    if not seeds or min(seeds) < 0:
        raise ValueError(f"got the seeds {seeds}; allowed is at least one, none below 0")
    if max_steps is not None and not T.is_whole(max_steps):
        given = f"got max_steps={T.shown(max_steps)}"
        raise ValueError(f"{given}; allowed are whole numbers from 0, and None")
    orders = _orders(seeds, orders)
    task, length = get_kind(kind).task, get_kind(kind).length
    if length == T.LENGTH:
        with torch.device(device):
            train_set, _ = T.split(T.full_sequences(task=task))
        streams = [batches(train_set, seed, recipe) for seed in orders]
    else:
        streams = [random_batches(task, length, seed, recipe) for seed in orders]
    most = recipe.max_steps if max_steps is None else min(max_steps, recipe.max_steps)
    run, step = _Run(kind, seeds, recipe, most, device), 0
    with one_thread(), torch.enable_grad():
        while step < most and run.alive:
            batch = torch.stack([next(streams[i]) for i in run.alive]).to(device)
            loss, right = run.step(step, batch)
            step += 1
            if on_step is not None and on_step(step - 1, loss, right):
                break
            run.compact((run.streak >= recipe.patience).tolist())
    run.put_away()
    history = dict(loss=run.loss[:step], accuracy=run.accuracy[:step])
    return Zoo(kind, run.final, seeds), history | dict(steps=run.steps, stopped=run.stopped)


def _orders(seeds: list[int], orders) -> list[int]:
    """The seeds that order the batches, one for each of `seeds`."""
    orders = seeds if orders is None else T.whole_numbers(orders, "orders")
    if len(orders) != len(seeds) or min(orders, default=0) < 0:
        raise ValueError(
            f"got the orders {orders} for the seeds {seeds}; allowed is one for each, none below 0"
        )
    return orders


class _Run:
    """The models still training, stacked, and what was recorded of all of them."""

    def __init__(self, kind, seeds, recipe, most, device):
        self.recipe = recipe
        each = [initial_weights(kind, seed, device) for seed in seeds]
        self.final = {k: torch.stack([w[k] for w in each]) for k in each[0]}
        self.weights = {k: v.clone().requires_grad_() for k, v in self.final.items()}
        self.optimizer = self._adam()
        self.alive = list(range(len(seeds)))  # which of the seeds each row of the stack belongs to
        self.streak = torch.zeros(len(seeds), device=device)
        with torch.device("cpu"):
            self.steps = torch.zeros(len(seeds), dtype=torch.long)
            self.stopped = torch.zeros(len(seeds), dtype=torch.bool)
            self.loss = torch.full((most, len(seeds)), math.nan, dtype=torch.float64)
            self.accuracy = self.loss[..., None].repeat(1, 1, get_kind(kind).length)

    def _adam(self):
        r = self.recipe
        return torch.optim.AdamW(
            self.weights.values(), lr=r.lr, betas=r.betas, weight_decay=r.weight_decay
        )

    def step(self, step: int, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on `batch` `[alive, batch, tokens]`: (loss `[alive]`, accuracy
        `[alive, length]`)."""
        out = forward(self.weights, batch)  # [alive, batch, length, vocab]
        wanted = batch[..., -out.shape[-2] :]
        loss = F.cross_entropy(out.flatten(0, 2), wanted.flatten(), reduction="none")
        loss = loss.view(len(batch), -1).mean(1)
        self.optimizer.zero_grad()
        loss.sum().backward()  # models share nothing: each gets the gradient of its own loss
        _clip(self.weights, self.recipe.clip)
        for w in self.weights.values():
            w.grad = to_grid(w.grad)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(step)
        self.optimizer.step()
        loss, right = loss.detach(), (out.argmax(-1) == wanted).double().mean(1)
        self.streak = torch.where((right == 1).all(1), self.streak + 1, 0)
        self.steps[self.alive] = step + 1
        self.loss[step, self.alive], self.accuracy[step, self.alive] = loss.cpu(), right.cpu()
        return loss, right

    def put_away(self) -> None:
        """Keep the weights as they are now."""
        for name, value in self.weights.items():
            self.final[name][self.alive] = value.detach()

    def compact(self, done: list[bool]) -> None:
        """Put the models that are `done` away, and go on with the others."""
        if not any(done):
            return
        self.put_away()
        self.stopped[[i for i, d in zip(self.alive, done) if d]] = True
        keep = [row for row, d in enumerate(done) if not d]
        self.alive, self.streak = [self.alive[row] for row in keep], self.streak[keep]
        old, old_state = self.weights, self.optimizer.state
        self.weights = {k: v.detach()[keep].requires_grad_() for k, v in old.items()}
        self.optimizer = self._adam()
        for name, value in self.weights.items():
            # `step` is a scalar, the moments have a models axis
            moments = old_state[old[name]].items()
            self.optimizer.state[value] = {k: s[keep] if s.dim() else s for k, s in moments}


def _clip(weights, limit):
    """Scale the gradient of each model to at most `limit`, as torch's clip_grad_norm_ does."""
    norm = sum(w.grad.flatten(1).pow(2).sum(1) for w in weights.values()).sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1)
    for w in weights.values():
        w.grad *= scale.view(-1, *[1] * (w.dim() - 1))


# ---------------------------------------------------------------- sweeps


def sweep(
    kind: str | Kind,
    seeds,
    recipe: Recipe | None = None,
    max_steps: int | None = None,
    shard: int = 8,
    n_jobs: int = 2,
    folder=None,
    device="cpu",
    orders=None,
) -> tuple[Zoo, dict]:
    """`train` in shards of `shard` seeds through joblib, and evaluate on every input.

    Returns (zoo, history) as `train` does; the zoo's info holds `steps` and `stopped` and, where
    all inputs can be listed, `n_right` and `by_position`. With `folder`, each finished shard is
    kept there and a sweep that was interrupted goes on from them. Inside
    `joblib.parallel_config(backend="dask")` the shards go to a Dask cluster. On a GPU take one job
    and large shards.
    """
    from joblib import Parallel, delayed

    seeds, recipe = T.whole_numbers(seeds, "seeds"), recipe or recipe_of(kind)
    shard = T.whole(shard, "shard", 1)
    each = _orders(seeds, orders)
    if not seeds or len(set(zip(seeds, each))) < len(seeds):
        raise ValueError(f"got the seeds {seeds}; allowed is at least one, each once")
    cuts = [slice(i, i + shard) for i in range(0, len(seeds), shard)]
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_train_shard)(
            kind, seeds[cut], recipe, max_steps, folder, str(device), each[cut]
        )
        for cut in cuts
    )
    weights = {k: torch.cat([p[0][k] for p in parts]) for k in parts[0][0]}
    by_step = {"loss", "accuracy"}
    history = {k: torch.cat([p[1][k] for p in parts]) for k in parts[0][1] if k not in by_step}
    info = {k: v.tolist() for k, v in history.items()}
    for name in by_step:
        each = [row for p in parts for row in p[1][name].unbind(1)]
        history[name] = pad_sequence(each, padding_value=math.nan)
    return Zoo(kind, weights, seeds, info), history


def _train_shard(kind, seeds, recipe, max_steps, folder, device, orders):
    """Train, evaluate and keep one shard; or read it back if the same one was finished before."""
    what = dict(
        kind=kind if isinstance(kind, str) else "of its own",
        model=dataclasses.asdict(get_kind(kind)),
        seeds=seeds,
        recipe=dataclasses.asdict(recipe),
        max_steps=max_steps,
    )
    if orders != seeds:
        what["orders"] = orders
    path = None
    if folder is not None:
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
        path = Path(folder) / f"{what['kind']}-{seeds[0]}-{key}.safetensors"
        if path.exists():
            tensors, note = load(path)
            if wrong := [k for k, v in json.loads(json.dumps(what)).items() if note.get(k) != v]:
                raise ValueError(
                    f"{path} holds another shard: its {wrong[0]} is {note.get(wrong[0])}, "
                    f"allowed is {what[wrong[0]]}"
                )
            found: dict = {"weights": {}, "history": {}}
            for name, value in tensors.items():
                part, _, rest = name.partition("/")
                found[part][rest] = value
            return found["weights"], found["history"]
    zoo, history = train(kind, seeds, recipe, max_steps, device=device, orders=orders)
    if zoo.length <= T.LONGEST_LIST:
        history |= dict(n_right=n_right(zoo).cpu(), by_position=by_position(zoo).cpu())
    zoo = zoo.to("cpu")
    if path is not None:
        tensors = {f"weights/{k}": v for k, v in zoo.weights.items()}
        save(path, tensors | {f"history/{k}": v for k, v in history.items()}, what)
    return zoo.weights, history
