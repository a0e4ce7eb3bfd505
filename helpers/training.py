"""Training many models at once.

`train` is the loop of notebook 03 with one more axis in front: stacked weights, one batch and one
gradient norm for each model, AdamW on all of them together. A model that has reached the criterion
leaves the stack, so the others go on faster. `research.sweep` trains many seeds in shards.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from helpers import task
from helpers.model import KINDS, Kind, Recipe, Zoo, forward, get_kind, initial_weights

RECIPE = KINDS["article"].recipe


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


def random_batches(kind: Kind, seed: int, recipe: Recipe) -> Iterator[torch.Tensor]:
    """Yield batches `[batch, 2 * length + 1]` of random inputs, for a task too long to list."""
    rng = np.random.default_rng([seed, 1])
    for _ in range(recipe.max_steps):
        inputs = torch.from_numpy(rng.integers(0, task.DIGITS, (recipe.batch, kind.length)))
        yield task.full_sequences(inputs, kind.task)


def train(
    kind: str | Kind, seeds, recipe: Recipe | None = None, max_steps: int | None = None,
    on_step: Callable | None = None, device="cpu", orders=None,
) -> tuple[Zoo, dict]:  # fmt: skip
    """Train one model of `kind` for each seed, all together. Returns (zoo, history).

    A seed draws a model's start and the order of its batches; `orders` are the seeds that draw the
    latter where they are others. `recipe` is the kind's own if not given.

    history: `loss` `[steps, models]` (nats per output token) and `accuracy`
    `[steps, models, length]` on the batch of that step, NaN after a model has stopped; `steps`
    `[models]`; `stopped`: whether the criterion was met. `on_step(step, loss, accuracy)` is called
    after each step with the rows of the models still training; if it returns True the run ends.
    The hold-out is never looked at. ValueError for an unknown kind or a seed that is none.
    """
    kind_name, kind = kind, get_kind(kind)
    seeds, recipe = [task.whole(seed, "the seed") for seed in seeds], recipe or kind.recipe
    orders = seeds if orders is None else list(orders)
    if kind.length == task.LENGTH:
        train_set, _ = task.split(task.full_sequences(task=kind.task))
        streams = [batches(train_set, seed, recipe) for seed in orders]
    else:
        streams = [random_batches(kind, seed, recipe) for seed in orders]
    most = recipe.max_steps if max_steps is None else min(max_steps, recipe.max_steps)
    run, step = _Run(kind, seeds, recipe, most, device), 0
    with torch.enable_grad():
        while step < most and run.alive:
            batch = torch.stack([next(streams[i]) for i in run.alive]).to(device)
            loss, right = run.step(step, batch)
            step += 1
            if on_step is not None and on_step(step - 1, loss, right) is True:
                break
            run.compact((run.streak >= recipe.patience).tolist())
    run.put_away()
    history = dict(loss=run.loss[:step], accuracy=run.accuracy[:step])
    return Zoo(kind_name, run.final, seeds), history | dict(steps=run.steps, stopped=run.stopped)


class _Run:
    """The models still training, stacked, and what was recorded of all of them."""

    def __init__(self, kind: Kind, seeds: list[int], recipe: Recipe, most: int, device):
        self.recipe = recipe
        each = [initial_weights(kind, seed, device) for seed in seeds]
        self.final = {k: torch.stack([w[k] for w in each]) for k in each[0]}
        self.weights = {k: v.clone().requires_grad_() for k, v in self.final.items()}
        self.optimizer = self.adam()
        self.alive = list(range(len(seeds)))  # which of the seeds each row of the stack belongs to
        self.streak = torch.zeros(len(seeds), device=device)
        self.steps = torch.zeros(len(seeds), dtype=torch.long)
        self.stopped = torch.zeros(len(seeds), dtype=torch.bool)
        self.loss = torch.full((most, len(seeds)), math.nan, dtype=torch.float64)
        self.accuracy = self.loss[..., None].repeat(1, 1, kind.length)

    def adam(self):
        r = self.recipe
        return torch.optim.AdamW(self.weights.values(), r.lr, r.betas, weight_decay=r.weight_decay)

    def step(self, step: int, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step on `[alive, batch, tokens]`: (loss `[alive]`, accuracy `[alive, length]`)."""
        out = forward(self.weights, batch)  # [alive, batch, length, vocab]
        wanted = batch[..., -out.shape[-2] :]
        loss = F.cross_entropy(out.flatten(0, 2), wanted.flatten(), reduction="none")
        loss = loss.view(len(batch), -1).mean(1)
        self.optimizer.zero_grad()
        loss.sum().backward()  # models share nothing: each gets the gradient of its own loss
        clip(self.weights, self.recipe.clip)
        for w in self.weights.values():
            w.grad = to_grid(w.grad)
        self.optimizer.param_groups[0]["lr"] = self.recipe.lr_at(step)
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
        self.optimizer = self.adam()
        for name, value in self.weights.items():
            # `step` is a scalar, the moments have a models axis
            moments = old_state[old[name]].items()
            self.optimizer.state[value] = {k: s[keep] if s.dim() else s for k, s in moments}


def clip(weights: dict, limit: float) -> None:
    """Scale the gradient of each model to at most `limit`, as torch's clip_grad_norm_ does."""
    norm = sum(w.grad.flatten(1).pow(2).sum(1) for w in weights.values()).sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1)
    for w in weights.values():
        w.grad *= scale.view(-1, *[1] * (w.dim() - 1))
