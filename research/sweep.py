"""Training many seeds in shards, on several processors or a cluster, and evaluating all of them."""

import hashlib
import json
import math
import os
from dataclasses import asdict
from pathlib import Path

import torch
from joblib import Parallel, delayed
from torch.nn.utils.rnn import pad_sequence

from helpers import task
from helpers.model import Kind, Recipe, Zoo, get_kind
from helpers.storage import load, save
from helpers.training import train
from research.counting import by_position, n_right

BY_STEP = ("loss", "accuracy")  # what of a history is `[steps, models, ...]`; the rest is by model


def sweep(
    kind: str | Kind, seeds, recipe: Recipe | None = None, max_steps: int | None = None,
    shard: int = 8, n_jobs: int = 2, folder=None, device="cpu", orders=None,
) -> tuple[Zoo, dict]:  # fmt: skip
    """`train` in shards of `shard` seeds through joblib, and evaluate on every input.

    Returns (zoo, history) as `train` does; the zoo's info holds `steps` and `stopped` and, where
    all inputs can be listed, `n_right` and `by_position`. With `folder`, each finished shard is
    kept there and a sweep that was interrupted goes on from them; ValueError for a file that holds
    another shard than its name says. Inside `joblib.parallel_config(backend="dask")` the shards go
    to a Dask cluster. On a GPU take one job and large shards.
    """
    seeds = list(seeds)
    orders = seeds if orders is None else list(orders)
    run = dict(max_steps=max_steps, recipe=recipe or get_kind(kind).recipe)
    more = run, folder, str(device), os.getpid()
    cuts = [slice(i, i + shard) for i in range(0, len(seeds), shard)]
    todo = (delayed(_train_shard)(kind, seeds[cut], orders[cut], *more) for cut in cuts)
    parts = Parallel(n_jobs=n_jobs)(todo)
    found = dict(weights={}, history={})
    for name in parts[0]:
        each, (what, _, rest) = [part[name] for part in parts], name.partition("/")
        if rest in BY_STEP:  # the shards took different numbers of steps
            rows = [row for value in each for row in value.unbind(1)]
            found[what][rest] = pad_sequence(rows, padding_value=math.nan)
        else:
            found[what][rest] = torch.cat(each)
    weights, history = found.values()
    info = {name: value.tolist() for name, value in history.items() if name not in BY_STEP}
    return Zoo(kind, weights, seeds, info), history


def _train_shard(kind, seeds, orders, run, folder, device, caller):
    """Train, evaluate and keep one shard; or read it back if the same one was finished before.
    Returns its tensors by "weights/name" and "history/name"."""
    if os.getpid() != caller:
        torch.set_num_threads(1)  # a worker has one processor
    what = dict(kind=kind if isinstance(kind, str) else "of its own", seeds=seeds, orders=orders)
    what |= run | dict(model=asdict(get_kind(kind)), recipe=asdict(run["recipe"]))
    if folder is not None:
        text = json.dumps(what, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = Path(folder) / f"{what['kind']}-{seeds[0]}-{key}.safetensors"
        if path.exists():
            tensors, note = load(path)
            for name, wanted in json.loads(text).items():
                if note.get(name) != wanted:
                    given = f"its {name} is {note.get(name)}, allowed is {wanted}"
                    raise ValueError(f"{path} holds another shard: {given}")
            return tensors
    zoo, history = train(kind, seeds, **run, device=device, orders=orders)
    if zoo.length <= task.LONGEST_LIST:
        history |= dict(n_right=n_right(zoo).cpu(), by_position=by_position(zoo).cpu())
    tensors = {f"weights/{name}": value for name, value in zoo.to("cpu").weights.items()}
    tensors |= {f"history/{name}": value for name, value in history.items()}
    if folder is not None:
        save(path, tensors, what)
    return tensors
