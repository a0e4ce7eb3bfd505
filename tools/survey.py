"""The survey of many seeds: train them, then measure each model.

    python tools/survey.py train FOLDER [--kinds KIND ...] [--jobs N] [--device cuda]

Seeds 32 to 1055 of each kind of the plain task and 32 to 287 of the two kinds of the pairs task, by
the series' recipes. Finished shards stay in FOLDER, and a run that was interrupted goes on from
them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from helpers.evaluation import one_thread
from helpers.model import KINDS
from helpers.storage import save
from helpers.survey import measure
from helpers.training import sweep

FIRST = 32  # the zoo holds the seeds before it
N_SEEDS = {kind: 256 if kind.startswith("sum_pairs") else 1024 for kind in KINDS}
SHARD = 32


def shards(kinds) -> list[tuple[str, range]]:
    """(kind, seeds) of every shard."""
    return [
        (kind, range(first, first + SHARD))
        for kind in kinds
        for first in range(FIRST, FIRST + N_SEEDS[kind], SHARD)
    ]


def train_all(folder, kinds, jobs: int, device: str) -> None:
    """Train every shard of `kinds` that `folder` does not hold yet, with a bar."""

    def one(kind, seeds):
        sweep(kind, seeds, shard=SHARD, n_jobs=1, folder=folder, device=device)

    todo = shards(kinds)
    done = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(one)(kind, seeds) for kind, seeds in todo
    )
    for _ in tqdm(done, total=len(todo), unit="shard"):
        pass


def measure_all(folder, kinds, jobs: int) -> None:
    """Measure every shard of `kinds` that is trained, with a bar; what is measured stays there."""

    def one(kind, seeds, i):
        path = Path(folder) / "measured" / f"{kind}-{seeds[i]}.safetensors"
        if not path.exists():
            zoo, _ = sweep(kind, seeds, shard=SHARD, n_jobs=1, folder=folder)
            with one_thread():
                row = measure(zoo.where(torch.arange(len(zoo)) == i))
            save(path, row, dict(kind=kind, seed=seeds[i]))

    todo = [(kind, seeds, i) for kind, seeds in shards(kinds) for i in range(SHARD)]
    done = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=8)(
        delayed(one)(*what) for what in todo
    )
    for _ in tqdm(done, total=len(todo), unit="model"):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("folder")
    train.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    train.add_argument("--jobs", type=int, default=2)
    train.add_argument("--device", default="cpu")
    measured = commands.add_parser("measure")
    measured.add_argument("folder")
    measured.add_argument("--kinds", nargs="+", choices=KINDS, default=["article"])
    measured.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.command == "measure":
        return measure_all(options.folder, options.kinds, options.jobs)
    train_all(options.folder, options.kinds, options.jobs, options.device)


if __name__ == "__main__":
    main()
