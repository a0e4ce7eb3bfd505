"""Train the zoo again: `python tools/zoo.py [FOLDER] [--into FILE]`, or `--long [--into FILE]`.

Thirty-two seeds of every kind by its recipe, failed ones included. Finished shards are kept in
FOLDER, and a run that was interrupted goes on from them. With --long: the models of tasks too long
to list all inputs, about which beyond/proof proves something. Training is chaotic: another version
of the code or of a library may end at other weights; the note of a file says what made it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import torch

import research
from helpers.model import KINDS, WEIGHTS, Kind, Recipe, get_kind
from helpers.storage import save
from helpers.training import train
from research.sweep import sweep

PLAIN = dict(attn_only=True, normalization_type=None)
LONG = {
    "64 digits": dict(config=dict(d_model=8, d_head=8, d_mlp=32), length=64, rate=3e-2, seed=1),
    "16 digits, no MLP, no norm": dict(config=PLAIN, length=16, rate=5e-2, seed=8),
}


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


def make_long(path, models: dict = LONG) -> None:
    """Train `models` and write them to `path`. Each is the last of a stack of all seeds up to its
    own, as it was when it was found."""
    tensors, notes = {}, {}
    for name, made in models.items():
        kind = Kind(made["config"], length=made["length"], recipe=Recipe(lr=made["rate"]))
        zoo, history = train(kind, range(made["seed"] + 1))
        tensors |= {f"{name}/{part}": value for part, value in zoo[-1].weights.items()}
        notes[name] = made | dict(steps=int(history["steps"][-1]))
        print(f"{name}: {notes[name]['steps']} steps", flush=True)
    save(path, tensors, dict(made="tools/zoo.py", models=notes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="keeps finished shards")
    parser.add_argument("--long", action="store_true", help="the models of long tasks instead")
    parser.add_argument("--into", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.long:
        make_long(options.into or research.WEIGHTS / "long.safetensors")
    else:
        make_zoo(options.into or WEIGHTS / "zoo.safetensors", folder=options.folder)
