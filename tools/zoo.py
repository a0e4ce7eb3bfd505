"""Train the zoo again: `python tools/zoo.py [FOLDER] [--into FILE]`.

Thirty-two seeds of every kind by its recipe, failed ones included. Finished shards are kept in
FOLDER, and a run that was interrupted goes on from them.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from helpers.model import KINDS, WEIGHTS, get_kind
from helpers.storage import save
from helpers.training import recipe_of, sweep

FIRST = 20  # recorded losses of each run, by which a test retraces it


def make_zoo(path, kinds=tuple(KINDS), seeds=range(32), folder=None, max_steps=None) -> None:
    """Train `seeds` of each of `kinds` and write them to `path`, as `load_zoo` reads them.

    The note records, for each kind and seed: steps, whether the criterion was met, how much of all
    sequences is right, and the first losses.
    """
    tensors, notes = {}, {}
    for kind in kinds:
        zoo, history = sweep(kind, seeds, folder=folder, max_steps=max_steps)
        tensors |= {f"{kind}/{name}": value for name, value in zoo.weights.items()}
        losses = history["loss"][:FIRST].T.tolist()  # [models, steps]
        notes[kind] = zoo.info | {
            "seeds": zoo.seeds,
            "recipe": dataclasses.asdict(recipe_of(kind)),
            "model": dataclasses.asdict(get_kind(kind)),
            "first_losses": [[round(loss, 10) for loss in row] for row in losses],
        }
        print(f"{kind}: {int(zoo.exact.sum())} of {len(zoo)} exact", flush=True)
    save(path, tensors, {"kinds": notes})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="keeps finished shards")
    parser.add_argument("--into", type=Path, default=WEIGHTS / "zoo.safetensors", metavar="FILE")
    options = parser.parse_args()
    make_zoo(options.into, folder=options.folder)


if __name__ == "__main__":
    main()
