"""The task: tokens, targets, all sequences, the split. Knows torch and numpy only.

A sequence is ``[BOS, x0..x7, y0..y7]``: 17 tokens. The digits are 0..3, BOS is 4.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch

DIGITS = 4  # tokens 0..3
BOS = 4  # begin-of-sequence token
VOCAB = 5
LENGTH = 8  # input tokens, and output tokens
N_SEQUENCES = DIGITS**LENGTH  # 65,536
N_TRAIN = 60_000

INPUT_NAMES = [f"x{i}" for i in range(LENGTH)]
OUTPUT_NAMES = [f"y{i}" for i in range(LENGTH)]
# What stands at each of the 16 positions that the model reads (y7 is only ever predicted).
POSITION_NAMES = ["BOS", *INPUT_NAMES, *OUTPUT_NAMES[:-1]]

TASKS = {
    # y_i = (x_{7-i} + 1) mod 4
    "reverse_plus_one": lambda x: (x.flip(-1) + 1) % DIGITS,
    # y_i = (x_{7-i} + x_{6-i}) mod 4, indices wrap: y7 = x0 + x7
    "sum_pairs": lambda x: (x.flip(-1) + x.roll(1, -1).flip(-1)) % DIGITS,
}


def check_tokens(tokens, length: int = LENGTH, allowed: int = DIGITS) -> torch.Tensor:
    """Return `tokens` as an int64 tensor `[..., length]`, or raise ValueError.

    `tokens` is one sequence (a list or 1-D tensor) or a batch of them. The error names the first
    bad position, its value, and what is allowed: whole numbers 0..`allowed`-1, `length` of them.
    """
    rule = f"allowed are {length} whole numbers from 0 to {allowed - 1}"
    if isinstance(tokens, (torch.Tensor, np.ndarray)):
        if tokens.ndim == 0:
            raise ValueError(f"got the single value {tokens!r}; {rule}")
        if str(tokens.dtype).split(".")[-1].rstrip("0123456789") not in ("int", "uint"):
            first = tokens.flatten()[0].item() if 0 not in tokens.shape else "nothing"
            raise ValueError(f"position 0 holds {first!r} ({tokens.dtype}); {rule}")
        out = torch.as_tensor(tokens).long()
    else:
        if isinstance(tokens, (str, bytes, dict, set)) or not hasattr(tokens, "__iter__"):
            raise ValueError(f"got {tokens!r} ({type(tokens).__name__}); {rule}")
        rows = list(tokens)
        if rows and all(isinstance(r, (list, tuple, np.ndarray, torch.Tensor)) for r in rows):
            checked = []
            for number, row in enumerate(rows):
                try:
                    checked.append(check_tokens(row, length, allowed))
                except ValueError as error:
                    raise ValueError(f"sequence {number}: {error}") from None
            return torch.stack(checked)
        for position, value in enumerate(rows):
            if isinstance(value, bool) or not isinstance(value, Integral):
                kind = type(value).__name__
                raise ValueError(f"position {position} holds {value!r} ({kind}); {rule}")
        if len(rows) != length:
            raise ValueError(f"got {len(rows)} tokens: {rows}; {rule}")
        # Checked before the tensor is made: an int too large for int64 is only a bad token here.
        for position, value in enumerate(rows):
            if not 0 <= value < allowed:
                raise ValueError(f"position {position} holds {value}; {rule}")
        return torch.tensor([int(v) for v in rows], dtype=torch.long)
    if out.shape[-1] != length or out.numel() == 0:
        raise ValueError(f"got shape {tuple(out.shape)}, {out.shape[-1]} tokens each; {rule}")
    bad = ((out < 0) | (out >= allowed)).nonzero()
    if len(bad):
        *where, position = bad[0].tolist()
        row = f"sequence {where[0]}: " if where else ""
        raise ValueError(f"{row}position {position} holds {out[tuple(bad[0])].item()}; {rule}")
    return out


def targets(x, task: str = "reverse_plus_one") -> torch.Tensor:
    """The right outputs `[..., 8]` for inputs `x` `[..., 8]`. ValueError on bad tokens or task."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are {', '.join(TASKS)}")
    return TASKS[task](check_tokens(x))


def all_inputs() -> torch.Tensor:
    """Every input in lexicographic order: int64 `[65536, 8]`."""
    return torch.cartesian_prod(*[torch.arange(DIGITS)] * LENGTH)


def full_sequences(x=None, task: str = "reverse_plus_one") -> torch.Tensor:
    """`[BOS, x, y]` for the inputs `x` (default: all of them): int64 `[n, 17]`."""
    x = all_inputs() if x is None else check_tokens(x).reshape(-1, LENGTH)
    return torch.cat([torch.full((len(x), 1), BOS), x, targets(x, task)], dim=1)


def split(sequences: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffle all 65,536 sequences and cut: (train `[60000, 17]`, hold-out `[5536, 17]`).

    The order comes from numpy's generator, which gives the same permutation on every machine.
    """
    if len(sequences) != N_SEQUENCES:
        raise ValueError(f"got {len(sequences)} sequences; the split is of all {N_SEQUENCES}")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(N_SEQUENCES))
    return sequences[order[:N_TRAIN]], sequences[order[N_TRAIN:]]
