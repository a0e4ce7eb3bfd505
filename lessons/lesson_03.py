"""Lesson 3, training: its explorer, which trains live, and its exercises."""

import math
import threading
from dataclasses import replace
from functools import cache, partial

import ipywidgets
import numpy as np
import torch
import torch.nn.functional as F

from helpers import plotting, task
from helpers.evaluation import by_position, n_right
from helpers.model import KINDS, Zoo, forward, get_kind, initial_weights
from helpers.training import RECIPE, batches, train
from lessons import exercises, explorer


def training_figure(kind: str, seed: int, rate: float, losses, accuracies, end: str = ""):
    """Loss `[steps]` in nats per token and accuracy `[steps, length]` so far: (figure, says). `end`
    is added to the title. ValueError for an unknown kind."""
    length = get_kind(kind).length
    losses = np.asarray(losses, dtype=float)
    recent = np.asarray(accuracies, dtype=float).reshape(-1, length)[-15:]
    steps = len(losses)
    now = recent.mean(0) if steps else np.zeros(length)
    title = f"{kind}, seed {seed}, rate {rate:g}: step {steps}{end}"
    axes = dict(title="", x_title="step", y_title="loss (nats per token)")
    curve = plotting.lines(range(steps), {"loss": losses}, reference={"": np.log(4)}, **axes)
    axes = dict(title="", y_title="accuracy", x=explorer.names("y", length))
    bars = plotting.bars(now, reference={"": 0.25}, **axes)
    names = ["Loss<br>(dashed: ln 4, guessing)", "Last 15 batches<br>(dashed: chance)"]
    says = f"{title}. Nothing is trained yet."
    if steps:
        says = f"{title}. The loss is {losses[-1]:.3f}. "
        says += f"Right in the last batches: {explorer.shares(now)}."
    return explorer.beside(title, names, curve.update_yaxes(range=[0, 2]), bars), says


class TrainingExplorer(explorer.Explorer):
    """Choose seed, rate and model, train live in a thread, stop. Before the first start it shows a
    finished run of seed 0: `losses` `[steps]` and `accuracies` `[steps, 8]`."""

    def __init__(self, losses=(), accuracies=()):
        start = training_figure("article", 0, RECIPE.lr, losses, accuracies)
        row = [
            explorer.steps("model", "article", list(KINDS), "360px"),
            explorer.control(ipywidgets.IntText, "seed", 0, "150px"),
            explorer.control(ipywidgets.FloatText, "rate", RECIPE.lr, "150px", step=0.01),
            ipywidgets.Button(description="Train", button_style="primary"),
        ]
        super().__init__(lambda: start, {}, [row])
        self.kind, self.seed, self.rate, self.button = row
        self.button.on_click(self.press)
        self.thread, self.stopping = None, threading.Event()

    def press(self, _button) -> None:
        """Start, or stop what runs."""
        if self.button.description == "Stop":
            return self.stopping.set()
        kind, seed, rate = self.kind.value, self.seed.value, self.rate.value
        if seed < 0 or not 0 < rate <= 1:
            allowed = "allowed are seeds from 0 and rates above 0, up to 1"
            return self.say(f"Seed {seed}, rate {rate:g}: {allowed}.")
        self.stopping.clear()
        if explorer.COLAB:
            self.button.disabled = True
            self.say("Training. To stop it here, interrupt the kernel.")
            return self.train(kind, seed, rate)
        self.button.description = "Stop"
        self.thread = threading.Thread(target=self.train, args=(kind, seed, rate), daemon=True)
        self.thread.start()

    def train(self, kind: str, seed: int, rate: float) -> None:
        """One run, drawn every twenty steps."""
        losses, accuracies = [], []

        def draw(end):
            self.show(*training_figure(kind, seed, rate, losses, accuracies, end))

        def on_step(step, loss, accuracy):
            losses.append(loss[0].item())
            accuracies.append(accuracy[0].tolist())
            if step % 20 == 0:
                draw("")
            return self.stopping.is_set()

        try:
            recipe = replace(get_kind(kind).recipe, lr=rate)
            zoo, _ = train(kind, [seed], recipe, on_step=on_step)
            done = f", done: {n_right(zoo).item():,} of 65,536 right"
            draw(", stopped" if self.stopping.is_set() else done)
        except KeyboardInterrupt:  # how a run is stopped in Colab
            draw(", stopped")
        except Exception as error:
            self.failed(error)
        finally:
            self.button.description, self.button.disabled = "Train", False


explore_training = TrainingExplorer


@cache
def _without_positions(steps: int = 400) -> torch.Tensor:
    """The accuracy on the hold-out of a model whose position embeddings stay zero in training."""
    train_set, holdout = task.split(task.full_sequences())
    weights = {name: value[None] for name, value in initial_weights().items()}
    weights["pos_embed.weight"].zero_()
    learnt = [w.requires_grad_() for name, w in weights.items() if name != "pos_embed.weight"]
    adam = torch.optim.AdamW(learnt, lr=RECIPE.lr, betas=RECIPE.betas, weight_decay=0)
    for batch, _ in zip(batches(train_set, 0), range(steps)):
        with torch.enable_grad():
            logits = forward(weights, batch)[0]
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 9:].flatten())
            adam.zero_grad()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, RECIPE.clip)
        adam.step()
    return by_position(Zoo("article", weights, [0]), holdout).mean()


EXERCISES = {
    "03-half-known": exercises.Exercise(
        target=lambda: F.cross_entropy(torch.tensor([[0, 0, -1e9, -1e9, -1e9]]), torch.tensor([1])),
        tolerance=5e-3,
        mistakes={
            "That is the loss of a guess among four. Two of them are ruled out.": math.log(4),
            "That is the probability. The loss is minus its logarithm.": 0.5,
            "That is in bits. The loss uses the natural logarithm.": 1.0,
            "The sign: a loss is minus the logarithm.": -math.log(2),
        },
    ),
    "03-no-positions": exercises.Exercise(
        target=_without_positions,
        tolerance=0.06,  # where it stops a little earlier or later
        mistakes={
            "That is a guess among four. Without positions it still learns something.": 0.25,
            "That is a model with positions. Is W_pos still zero after training?": 1.0,
        },
    ),
}  # fmt: skip

check = partial(exercises.check, EXERCISES)
