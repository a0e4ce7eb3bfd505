"""Train the zoo again: `python tools/zoo.py [FOLDER] [--into FILE]`.

Thirty-two seeds of every kind by its recipe, failed ones included. Finished shards are kept in
FOLDER, and a run that was interrupted goes on from them.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

from helpers.model import KINDS, WEIGHTS, get_kind
from helpers.storage import save
from research.sweep import sweep


def make_zoo(path, kinds=KINDS, seeds=range(32), **more) -> None:
    """Train `seeds` of each of `kinds` and write them to `path`, as `load_zoo` reads them, with
    what their training came to and the losses of the first steps, by which a test retraces it.
    `more` goes to `sweep`."""
    tensors, notes = {}, {}
    for kind in kinds:
        zoo, history = sweep(kind, seeds, **more)
        tensors |= {f"{kind}/{name}": value for name, value in zoo.weights.items()}
        losses = history["loss"][:20].T.tolist()  # [models, steps]
        notes[kind] = zoo.info | {
            "seeds": zoo.seeds,
            "recipe": dataclasses.asdict(get_kind(kind).recipe),
            "model": dataclasses.asdict(get_kind(kind)),
            "first_losses": [[round(loss, 10) for loss in row] for row in losses],
        }
        print(f"{kind}: {int(zoo.exact.sum())} of {len(zoo)} exact", flush=True)
    save(path, tensors, {"kinds": notes})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="keeps finished shards")
    parser.add_argument("--into", type=Path, default=WEIGHTS / "zoo.safetensors", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    make_zoo(options.into, folder=options.folder)
