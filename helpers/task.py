"""The task: tokens, targets, all sequences, the split. Knows torch and numpy only.

A sequence is `[BOS, x0, x1, ..., y0, y1, ...]`: with eight digits, the default, 17 tokens. The
digits are 0..3, BOS is 4. `length`, the number of digits, is a parameter wherever it matters.
"""

from __future__ import annotations

import re
from numbers import Integral

import numpy as np
import torch

DIGITS = 4  # tokens 0..3
BOS = 4  # begin-of-sequence token
VOCAB = 5
LENGTH = 8  # input tokens, and output tokens
N_SEQUENCES = DIGITS**LENGTH  # 65,536
N_TRAIN = 60_000
LONGEST_LIST = 10  # digits; more inputs than 4**10 are not listed

# The input that all notebooks follow. It is row 60,000 of the sorted list, the article's sample.
EXAMPLE = "32221200"

TOKEN_NAMES = ["0", "1", "2", "3", "BOS"]
INPUT_NAMES = [f"x{i}" for i in range(LENGTH)]
OUTPUT_NAMES = [f"y{i}" for i in range(LENGTH)]
# What stands at each of the 16 positions that the model reads (y7 is only ever predicted).
POSITION_NAMES = ["BOS", *INPUT_NAMES, *OUTPUT_NAMES[:-1]]

TASKS = {
    # y_i = x_{n-1-i} + 1 mod 4, for n digits
    "reverse_plus_one": lambda x: (x.flip(-1) + 1) % DIGITS,
    # y_i = x_{n-1-i} + x_{n-2-i} mod 4, indices wrap: with eight digits y7 = x0 + x7
    "sum_pairs": lambda x: (x.flip(-1) + x.roll(1, -1).flip(-1)) % DIGITS,
}

# The places of the inputs that decide y_i, for n digits; the definition above says the same.
SOURCES = {
    "reverse_plus_one": lambda i, n: (n - 1 - i,),
    "sum_pairs": lambda i, n: (n - 1 - i, (n - 2 - i) % n),
}


def check_tokens(tokens, length: int = LENGTH, allowed: int = DIGITS) -> torch.Tensor:
    """Return `tokens` as an int64 tensor `[..., length]`, or raise ValueError.

    `tokens` is one sequence (a list or 1-D tensor) or a batch of them. The error names the first
    bad position, its value, and what is allowed: whole numbers 0..`allowed`-1, `length` of them.
    """
    rule = f"allowed are {length} whole numbers from 0 to {allowed - 1}"
    if isinstance(tokens, (torch.Tensor, np.ndarray)):
        return _check_array(tokens, length, allowed, rule)
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


def _check_array(tokens, length, allowed, rule):
    if tokens.ndim == 0:
        raise ValueError(f"got the single value {tokens!r}; {rule}")
    if str(tokens.dtype).split(".")[-1].rstrip("0123456789") not in ("int", "uint"):
        first = tokens.flatten()[0].item() if 0 not in tokens.shape else "nothing"
        raise ValueError(f"position 0 holds {first!r} ({tokens.dtype}); {rule}")
    # as_tensor would move a tensor to the default device
    out = (tokens if isinstance(tokens, torch.Tensor) else torch.as_tensor(tokens)).long()
    if out.shape[-1] != length or out.numel() == 0:
        raise ValueError(f"got shape {tuple(out.shape)}, {out.shape[-1]} tokens each; {rule}")
    bad = ((out < 0) | (out >= allowed)).nonzero()
    if len(bad):
        *where, position = bad[0].tolist()
        row = f"sequence {where[0]}: " if where else ""
        raise ValueError(f"{row}position {position} holds {out[tuple(bad[0])].item()}; {rule}")
    return out


def read_tokens(tokens, length: int = LENGTH) -> list[int]:
    """One input from text such as "01232031" or "0 1 2 3 2 0 3 1", or from a list or tensor.

    ValueError, with what is allowed, for anything else.
    """
    if isinstance(tokens, str):
        text = tokens.strip()
        pieces = re.split(r"[\s,]+", text) if re.search(r"[\s,]", text) else text
        tokens = [int(p) if re.fullmatch(r"-?[0-9]+", p) else p for p in pieces if p]
    return check_tokens(tokens, length).flatten().tolist()


def targets(x, task: str = "reverse_plus_one", length: int = LENGTH) -> torch.Tensor:
    """The right outputs for inputs `x`, both `[..., length]`. ValueError on bad tokens or task."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; there are {', '.join(TASKS)}")
    return TASKS[task](check_tokens(x, length))


def all_inputs(length: int = LENGTH) -> torch.Tensor:
    """Every input in lexicographic order: int64 `[4**length, length]`."""
    if not 1 <= length <= LONGEST_LIST:
        raise ValueError(f"got {length} digits; inputs of 1 to {LONGEST_LIST} digits can be listed")
    return torch.cartesian_prod(*[torch.arange(DIGITS)] * length).reshape(-1, length)


def number(x: torch.Tensor) -> torch.Tensor:
    """The places of inputs `[..., length]` in `all_inputs`: int64 `[...]`."""
    worth = DIGITS ** torch.arange(x.shape[-1] - 1, -1, -1, device=x.device)
    return (x * worth).sum(-1)


def full_sequences(x=None, task: str = "reverse_plus_one", length: int = LENGTH) -> torch.Tensor:
    """`[BOS, x, y]` for the inputs `x` (default: all of them): int64 `[n, 2 * length + 1]`."""
    x = all_inputs(length) if x is None else check_tokens(x, length).reshape(-1, length)
    bos = torch.full((len(x), 1), BOS, device=x.device)
    return torch.cat([bos, x, targets(x, task, length)], dim=1)


def split(sequences: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffle all 65,536 sequences and cut: (train `[60000, 17]`, hold-out `[5536, 17]`).

    The order comes from numpy's generator, which gives the same permutation on every machine.
    """
    if len(sequences) != N_SEQUENCES:
        raise ValueError(f"got {len(sequences)} sequences; the split is of all {N_SEQUENCES}")
    order = torch.from_numpy(np.random.default_rng(seed).permutation(N_SEQUENCES))
    return sequences[order[:N_TRAIN]], sequences[order[N_TRAIN:]]
