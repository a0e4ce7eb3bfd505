"""The survey of many seeds: train them, measure each model, and write what the series ships.

    python tools/survey.py train FOLDER [--kinds KIND ...] [--jobs N] [--device cuda]
    python tools/survey.py measure FOLDER [--kinds KIND ...] [--jobs N]
    python tools/survey.py write FOLDER

1,024 seeds of each kind, from 32 on, by the series' recipes; fewer of the pairs task, whose models
take longest and are only counted. Beside them 16 starts of the article's model, each with 16 orders
of its batches, to see which of the two decides what. What is finished stays in FOLDER, and a run
that was interrupted goes on from there.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from helpers import task
from helpers.model import KINDS, get_kind
from helpers.storage import load, save
from helpers.training import train
from research import WEIGHTS, census, constants, survey
from research.sweep import sweep

FIRST = 32  # the zoo holds the seeds before it
N_SEEDS = dict.fromkeys(KINDS, 1024) | dict.fromkeys(["sum_pairs", "sum_pairs_no_mlp"], 256)
SHARD = 32
STARTS, ORDERS = range(2000, 2016), range(3000, 3016)  # seeds that the survey does not have


def shards(kind: str) -> list[tuple]:
    """The seeds of every shard, and those of the order of their batches."""
    firsts = range(FIRST, FIRST + N_SEEDS[kind], SHARD)
    found = [(seeds, seeds) for seeds in (list(range(f, f + SHARD)) for f in firsts)]
    if kind == "article":
        found += [([start] * len(ORDERS), list(ORDERS)) for start in STARTS]
    return found


def models_of(folder, kind: str, seeds, orders, device="cpu") -> tuple:
    """(zoo, history) of one shard: trained now, or as `folder` holds it."""
    return sweep(kind, seeds, shard=SHARD, n_jobs=1, folder=folder, device=device, orders=orders)


def measured(folder, kind: str, seed: int, order: int) -> Path:
    """Where in `folder` stands what was measured of a model."""
    return Path(folder) / "measured" / f"{kind}-{seed}-{order}.safetensors"


def one_by_one(what, todo: list, jobs: int) -> None:
    """Call `what` on each of `todo`, `jobs` at a time, under a bar with an estimate."""
    with parallel_config("loky", inner_max_num_threads=1):
        runs = Parallel(jobs, return_as="generator_unordered")(delayed(what)(*t) for t in todo)
        for _ in tqdm(runs, total=len(todo)):
            pass


def measure_one(folder, kind: str, seeds: list[int], orders, i: int) -> None:
    """Measure the i-th of a shard, unless it is measured already."""
    path = measured(folder, kind, seeds[i], orders[i])
    if path.exists():
        return
    zoo, history = models_of(folder, kind, seeds, orders)
    row = census.measure(zoo[i], everything=kind == "article")
    if kind == "article" and zoo[i].exact.all():
        row |= constants.measure(zoo[i])
    if "cases" in row and orders == seeds:
        row["pause"] = torch.tensor(census.pause_of(history["accuracy"][:, i]))
        early, _ = train(kind, [seeds[i]], max_steps=int(row["pause"]))
        row["pairs"] = census.pairs_said(early)
    save(path, row, dict(kind=kind, seed=seeds[i], order=orders[i]))


def rows_of(folder, kind: str, seeds, orders) -> list[dict]:
    """The rows of the models of one shard."""
    zoo, history = models_of(folder, kind, seeds, orders)
    right, rows = (history["by_position"] * task.N_SEQUENCES).round().long(), []
    for i, (seed, order) in enumerate(zip(seeds, orders)):
        path = measured(folder, kind, seed, order)
        row = dict(kind=kind, seed=seed, order=order)
        row |= {name: zoo.info[name][i] for name in ("steps", "stopped")}
        rows.append(row | (load(path)[0] if path.exists() else {"right": right[i]}))
    return rows


def write(folder, into=WEIGHTS) -> None:
    """Write the table of all that is trained, and the weights of the article's models."""
    rows, note = [], {}
    for kind in KINDS:
        for shard in tqdm(shards(kind), unit="shard"):
            rows += rows_of(folder, kind, *shard)
        note[kind] = dict(recipe=dataclasses.asdict(get_kind(kind).recipe))
    seeds = [seed for each, orders in shards("article") if orders == each for seed in each]
    article, _ = models_of(folder, "article", seeds, seeds)
    record = {name: article.info[name] for name in ("steps", "stopped", "n_right")}
    tensors = {f"article/{name}": value for name, value in article.weights.items()}
    of_models = dict(kinds=dict(article=record | dict(seeds=article.seeds)))
    save(Path(into) / survey.MODELS.name, tensors, of_models)
    about = dict(weights=survey.digest(article), kinds=note)
    survey.write_table(Path(into) / survey.TABLE.name, rows, about)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["train", "measure", "write"])
    parser.add_argument("folder")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    todo = [(options.folder, kind, *shard) for kind in options.kinds for shard in shards(kind)]
    if options.command == "train":
        one_by_one(models_of, [(*shard, options.device) for shard in todo], options.jobs)
    elif options.command == "measure":
        plain = [t for t in todo if get_kind(t[1]).task == "reverse_plus_one"]
        each = [(*shard, i) for shard in plain for i in range(len(shard[2]))]
        one_by_one(measure_one, each, options.jobs)
    else:
        write(options.folder)


if __name__ == "__main__":
    main()
