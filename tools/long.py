"""Train the long models again: `python tools/long.py [NAME ...] [--into FILE]`.

Models of tasks too long to list all inputs, about which beyond/proof proves something; their names
are those of MODELS. Training is chaotic: another version of the code or of a library may end at
other weights, as this one does. The note of the stored file says what made that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from helpers.model import Kind, Recipe
from helpers.storage import save
from helpers.training import train
from research import WEIGHTS

MODELS = {
    "64 digits": dict(
        config=dict(d_model=8, d_head=8, d_mlp=32), length=64, rate=3e-2, seed=1
    ),
    "16 digits, no MLP, no norm": dict(
        config=dict(attn_only=True, normalization_type=None), length=16, rate=5e-2, seed=8
    ),
}  # fmt: skip


def make_long(path, models: dict = MODELS) -> None:
    """Train `models` and write them to `path`. Each is the last of a stack of all seeds up to its
    own, as it was when it was found."""
    tensors, notes = {}, {}
    for name, made in models.items():
        kind = Kind(made["config"], length=made["length"], recipe=Recipe(lr=made["rate"]))
        zoo, history = train(kind, range(made["seed"] + 1))
        tensors |= {f"{name}/{part}": value for part, value in zoo[-1].weights.items()}
        notes[name] = made | dict(steps=int(history["steps"][-1]))
        print(f"{name}: {notes[name]['steps']} steps", flush=True)
    save(path, tensors, dict(made="tools/long.py", models=notes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--into", type=Path, default=WEIGHTS / "long.safetensors", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    make_long(options.into, {name: MODELS[name] for name in options.names or MODELS})
