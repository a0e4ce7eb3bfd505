"""How fast training and counting are on this machine: `python tools/benchmark.py [--quick]`.

It judges nothing. A time is the median of several, taken in turns so that a busy moment falls on
all that are compared; everything runs in float64 on one thread per process. Printed:

    seconds_to_exact_ratio  from start to exact, the article's recipe against ours, on the plain
                            loop of notebook 03
    evaluation_ratio        every input counted by one TransformerBridge after another, against
                            research.counting on the zoo of 32
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from helpers import evaluation, model, task, training
from research import counting

# The plain reading of the article: the library's start, AdamW as it comes, 30 passes over 60,000
# sequences. 13 perfect batches of 512 are as many sequences as our 50 of 128: both prove as much.
ARTICLE = model.Recipe(
    lr=1e-3, betas=(0.9, 0.999), weight_decay=0.01, batch=512, epochs=30, clip=1.0, patience=13
)


def in_turns(contestants: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Median seconds of each function over `rounds` rounds, all of them once in every round."""
    seconds = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


# ---------------------------------------------------------------- seconds to exact


def plain_loop(bridge, seed: int, recipe: model.Recipe, train_set, on_grid=True, most=None) -> None:
    """Train a TransformerBridge as notebook 03 does, until the criterion is met or `most` steps are
    done. Only our recipe rounds gradients, `on_grid`."""
    optimizer = torch.optim.AdamW(
        bridge.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    streak = 0
    for step, batch in enumerate(training.batches(train_set, seed, recipe)):
        logits, wanted = bridge(batch[:, :16])[:, 8:], batch[:, 9:]
        loss = F.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(bridge.parameters(), recipe.clip)
        for weights in bridge.parameters() if on_grid else ():
            weights.grad = training.to_grid(weights.grad)
        optimizer.param_groups[0]["lr"] = recipe.lr_at(step)
        optimizer.step()
        streak = streak + 1 if evaluation.hits(logits, batch).all() else 0
        if streak == recipe.patience or step + 1 == most:
            return


def seconds_to_exact(quick: bool) -> dict:
    """Our recipe timed whole, proof by 50 perfect batches included; the article's as seconds a step
    times the steps it needs, or all that it has where it never becomes exact."""
    seeds, train_set = range(3 if quick else 7), task.split(task.full_sequences())[0]
    bridge, ours = model.build(), []
    plain_loop(bridge, 0, training.RECIPE, train_set, most=5)  # the first steps are slower
    for seed in seeds:
        start = time.perf_counter()
        bridge = model.build(seed=seed)
        plain_loop(bridge, seed, training.RECIPE, train_set)
        ours.append(time.perf_counter() - start)

    # How many steps the article's recipe needs is counted on stacked models, which is quicker.
    most = ARTICLE.max_steps // 10 if quick else ARTICLE.max_steps
    zoo, history = training.train("article_default_init", seeds, ARTICLE, max_steps=most)
    exact = counting.n_right(zoo) == task.N_SEQUENCES
    needed = torch.where(exact, history["steps"], ARTICLE.max_steps).tolist()

    def some_steps():
        plain_loop(bridge, 0, ARTICLE, train_set, on_grid=False, most=20)

    per_step = in_turns({"step": some_steps}, 3 if quick else 7)["step"] / 20
    article = [per_step * steps for steps in needed]
    return dict(
        seconds_to_exact_ratio=statistics.median(article) / statistics.median(ours),
        seconds_to_exact_ours=ours,
        seconds_to_exact_article=article,
    )


# ---------------------------------------------------------------- counting


@torch.no_grad()
def count_with(bridge, sequences) -> int:
    """How many sequences the library's own model has right."""
    hits = (evaluation.hits(bridge(part[:, :16]), part) for part in sequences.split(4096))
    return sum(hit.all(-1).sum().item() for hit in hits)


def evaluations(quick: bool) -> dict:
    """Every input, 32 models. One after another is measured on one of them, and scaled."""
    zoo, sequences = model.load_zoo(), task.full_sequences()
    bridge = zoo.bridge(0)
    ways = {"bridge": lambda: count_with(bridge, sequences), "zoo": lambda: counting.n_right(zoo)}
    seconds = in_turns(ways, 3 if quick else 5)
    bridges = seconds["bridge"] * len(zoo)
    return dict(
        evaluation_ratio=bridges / seconds["zoo"],
        evaluation_seconds={"one bridge after another": bridges, "the zoo": seconds["zoo"]},
    )


# ---------------------------------------------------------------- the script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    print(json.dumps(seconds_to_exact(quick) | evaluations(quick), indent=1))


if __name__ == "__main__":
    main()
