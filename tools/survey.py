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
from joblib import Parallel, delayed
from tqdm import tqdm

from helpers import census as C
from helpers import survey as S
from helpers import task as T
from helpers.evaluation import one_thread
from helpers.model import KINDS, WEIGHTS, get_kind
from helpers.proof import prove
from helpers.storage import load, save
from helpers.training import recipe_of, sweep, train

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
    more = dict(shard=SHARD, n_jobs=1, folder=folder, device=device)
    return sweep(kind, seeds, orders=orders, **more)


def measured(folder, kind: str, seed: int, order: int) -> Path:
    """Where in `folder` stands what was measured of a model."""
    name = f"{kind}-{seed}" if order == seed else f"{kind}-{seed}-{order}"
    return Path(folder) / "measured" / f"{name}.safetensors"


def one_by_one(what, todo: list, jobs: int, unit: str) -> None:
    """Call `what` on each of `todo`, `jobs` at a time, under a bar with an estimate."""
    runs = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(what)(*t) for t in todo)
    for _ in tqdm(runs, total=len(todo), unit=unit):
        pass


def train_all(folder, kinds, jobs: int, device: str) -> None:
    """Train every shard of `kinds` that `folder` does not hold yet."""
    todo = [(folder, k, *shard, device) for k in kinds for shard in shards(k)]
    one_by_one(models_of, todo, jobs, "shard")


def measure_all(folder, kinds, jobs: int) -> None:
    """Measure the models of each of `kinds`, those of the article in everything."""
    plain = [k for k in kinds if get_kind(k).task == "reverse_plus_one"]
    each = [(k, *shard) for k in plain for shard in shards(k)]
    todo = [(folder, k, seeds, orders, i) for k, seeds, orders in each for i in range(len(seeds))]
    one_by_one(measure_one, todo, jobs, "model")


def measure_one(folder, kind: str, seeds: list[int], orders, i: int) -> None:
    """Measure the i-th of a shard, unless it is measured already."""
    path = measured(folder, kind, seeds[i], orders[i])
    row = load(path)[0] if path.exists() else {}
    done = set(row)
    with one_thread():
        zoo, history = models_of(folder, kind, seeds, orders)
        one = zoo.where(torch.arange(len(zoo)) == i)
        if "right" not in row:
            row |= C.measure(one, everything=kind == "article")
        full = kind == "article" and orders == seeds and one.exact.all()
        if full and "proved" not in row:
            proof = prove(one)
            row |= dict(proved=torch.tensor(proof.proved), cases=torch.tensor(proof.cases))
        if full and "pause" not in row:
            row["pause"] = torch.tensor(C.pause_of(history["accuracy"][:, i]))
            early, _ = train(kind, [seeds[i]], max_steps=int(row["pause"]))
            row["pairs"] = C.pairs_said(early)
    if set(row) != done:
        save(path, row, dict(kind=kind, seed=seeds[i], order=orders[i]))


def rows_of(folder, kind: str, seeds, orders) -> list[dict]:
    """The rows of the models of one shard."""
    zoo, history = models_of(folder, kind, seeds, orders)
    right, rows = (history["by_position"] * T.N_SEQUENCES).round().long(), []
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
        note[kind] = dict(recipe=dataclasses.asdict(recipe_of(kind)))
    seeds = [seed for each, orders in shards("article") if orders == each for seed in each]
    article, _ = models_of(folder, "article", seeds, seeds)
    kept = ("steps", "stopped", "n_right")
    record = {name: article.info[name] for name in kept} | dict(seeds=article.seeds)
    tensors = {f"article/{name}": value for name, value in article.weights.items()}
    save(into / S.MODELS.name, tensors, dict(kinds=dict(article=record)))
    S.write_table(into / S.TABLE.name, rows, dict(weights=S.digest(article), kinds=note))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["train", "measure", "write"])
    parser.add_argument("folder")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.command == "train":
        train_all(options.folder, options.kinds, options.jobs, options.device)
    elif options.command == "measure":
        measure_all(options.folder, options.kinds, options.jobs)
    else:
        write(options.folder)


if __name__ == "__main__":
    main()
