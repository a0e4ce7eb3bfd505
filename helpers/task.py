"""The task: tokens, targets, all sequences, the split. Knows torch and numpy only.

A sequence is `[BOS, x0, x1, ..., y0, y1, ...]`: with eight digits, the default, 17 tokens. The
digits are 0..3, BOS is 4. `length`, the number of digits, is a parameter wherever it matters.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Sequence
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
DEEPEST = 8  # lists inside lists

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


def shown(value) -> str:
    """`value` as an error shows it: its repr, cut where that is long."""
    try:
        text = repr(value)
    except Exception:  # an int of more than 4,300 digits has none, nor have some objects
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 160 else f"{text[:80]}... ({len(text)} characters)"


def single(value):
    """The plain number in a tensor or array of one; all else as it is."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # it holds several, or none
        return value


def named(value, names) -> bool:
    """Whether `value` is one of these names; what cannot be hashed is none."""
    return isinstance(value, str) and value in names


def is_whole(value, low: float = 0, high: int | None = None) -> bool:
    """Whether `value` is a whole number from `low` to `high`; True and 1.0 are none."""
    try:
        number = operator.index(value)  # numpy's and torch's whole numbers too
    except (TypeError, ValueError, RuntimeError):
        return False
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    return not is_bool and low <= number and (high is None or number <= high)


def whole(value, what: str, low: int = 0, high: int | None = None) -> int:
    """`value` as an int. ValueError unless it is a whole number from `low` to `high`."""
    if not is_whole(value, low, high):
        end = "on" if high is None else f"to {high}"
        raise ValueError(f"no {what} {shown(value)}; allowed are whole numbers from {low} {end}")
    return operator.index(value)


def whole_numbers(values, what: str) -> list[int]:
    """`values` as a list of ints. ValueError unless they are whole numbers, as in `whole`."""
    rule = f"got the {what} {shown(values)}; allowed are whole numbers in a list"
    try:
        listed = [] if isinstance(values, (str, bytes)) else list(values)
    except TypeError:  # it is no list
        listed = [None]
    if isinstance(values, (str, bytes)) or not all(is_whole(value, -math.inf) for value in listed):
        raise ValueError(rule)
    return [operator.index(value) for value in listed]


def check_mask(mask, n: int) -> list[bool]:
    """`mask` as a list. ValueError unless it holds `n` bools."""
    try:
        values = torch.as_tensor(mask if len(mask) == n else [[]], device="cpu")
    except (TypeError, ValueError, RuntimeError):  # it is no array at all
        values = torch.empty(0, 0)
    if values.shape != (n,) or (n and values.dtype != torch.bool):
        raise ValueError(f"got the mask {shown(mask)}; allowed are {n} times True or False")
    return values.tolist()


def check_tokens(tokens, length: int = LENGTH, allowed: int = DIGITS) -> torch.Tensor:
    """Return `tokens` as an int64 tensor `[..., length]`, or raise ValueError.

    `tokens` is one sequence (a list or 1-D tensor) or a batch of them. The error names the first
    bad position, its value, and what is allowed: whole numbers 0..`allowed`-1, `length` of them.
    """
    length = whole(length, "length", 1)
    return _check_tokens(tokens, length, whole(allowed, "number of tokens", 1), 0)


def _check_tokens(tokens, length: int, allowed: int, depth: int) -> torch.Tensor:
    rule = f"allowed are {length} whole numbers from 0 to {allowed - 1}"
    if isinstance(tokens, (torch.Tensor, np.ndarray)):
        return _check_array(tokens, length, allowed, rule)
    if isinstance(tokens, (str, bytes, bytearray)) or not isinstance(tokens, Sequence):
        raise ValueError(f"got {shown(tokens)} ({type(tokens).__name__}); {rule}")
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} lists inside each other; {rule}")
    rows = list(tokens)
    if rows and all(isinstance(r, (list, tuple, np.ndarray, torch.Tensor)) for r in rows):
        checked = []
        for number, row in enumerate(rows):
            try:
                checked.append(_check_tokens(row, length, allowed, depth + 1))
            except ValueError as error:
                raise ValueError(f"sequence {number}: {error}") from None
            if checked[-1].shape != checked[0].shape:
                ragged = f"shape {tuple(checked[-1].shape)} after {tuple(checked[0].shape)}"
                raise ValueError(f"sequence {number}: got {ragged}; {rule}")
        return torch.stack(checked)
    for position, value in enumerate(rows):
        if isinstance(value, bool) or not isinstance(value, Integral):
            kind = type(value).__name__
            raise ValueError(f"position {position} holds {shown(value)} ({kind}); {rule}")
    if len(rows) != length:
        raise ValueError(f"got {len(rows)} tokens: {shown(rows)}; {rule}")
    # Checked before the tensor is made: an int too large for int64 is only a bad token here.
    for position, value in enumerate(rows):
        if not 0 <= value < allowed:
            raise ValueError(f"position {position} holds {shown(value)}; {rule}")
    return torch.tensor([int(v) for v in rows], dtype=torch.long)


def _check_array(tokens, length, allowed, rule):
    if tokens.ndim == 0:
        raise ValueError(f"got the single value {shown(tokens)}; {rule}")
    if not _is_plain(tokens):
        raise ValueError(f"got a tensor on {tokens.device} in layout {tokens.layout}; {rule}")
    if not _holds_whole_numbers(tokens):
        first = tokens.flatten()[:1].tolist() or ["nothing"]
        raise ValueError(f"position 0 holds {shown(first[0])} ({tokens.dtype}); {rule}")
    if isinstance(tokens, torch.Tensor):  # as_tensor would move it to the default device
        out = tokens.long()
    else:  # a copy: torch takes no array that runs backwards, and no other byte order
        out = torch.as_tensor(tokens.astype(np.int64))
    if out.shape[-1] != length or out.numel() == 0:
        raise ValueError(f"got shape {tuple(out.shape)}, {out.shape[-1]} tokens each; {rule}")
    bad = ((out < 0) | (out >= allowed)).nonzero()
    if len(bad):
        *where, position = bad[0].tolist()
        row = f"sequence {where[0]}: " if where else ""
        raise ValueError(f"{row}position {position} holds {out[tuple(bad[0])].item()}; {rule}")
    return out


def _is_plain(array) -> bool:
    """Whether the numbers of a tensor can be read one by one; those of an array always can."""
    return isinstance(array, np.ndarray) or not (
        array.is_meta or array.layout != torch.strided or array.is_quantized
    )


def _holds_whole_numbers(array) -> bool:
    """Whether the dtype of an array or tensor is one of the signed or unsigned integers."""
    if isinstance(array, np.ndarray):
        return array.dtype.kind in "iu"
    return str(array.dtype).removeprefix("torch.").rstrip("0123456789") in ("int", "uint")


def check_sequences(sequences, length: int = LENGTH, answers: bool = False) -> torch.Tensor:
    """`sequences` as they are, if models of `length` digits can read them; else ValueError.

    Allowed are whole numbers from 0 to 4 (BOS) in a tensor `[n, 2 * length]` or one column wider,
    and such a tensor for each model, `[models, n, ...]`. With `answers`: `[n, 2 * length + 1]`.
    """
    n = 2 * length
    shape = f"[n, {n + 1}]" if answers else f"[..., n, {n} or {n + 1}]"
    rule = f"allowed is a tensor {shape} of whole numbers from 0 to {BOS}, n above 0"
    if not isinstance(sequences, torch.Tensor):
        raise ValueError(f"got {shown(sequences)} ({type(sequences).__name__}); {rule}")
    widths, dims = ((n + 1,), (2,)) if answers else ((n, n + 1), (2, 3))
    fits = sequences.dim() in dims and sequences.shape[-1] in widths and sequences.numel()
    if not (fits and _is_plain(sequences) and _holds_whole_numbers(sequences)):
        raise ValueError(f"got {sequences.dtype} of shape {tuple(sequences.shape)}; {rule}")
    low, high = (value.item() for value in sequences.aminmax())
    if low < 0 or high > BOS:
        raise ValueError(f"got tokens from {low} to {high}; {rule}")
    return sequences


def read_tokens(tokens, length: int = LENGTH) -> list[int]:
    """One input from text such as "01232031" or "0 1 2 3 2 0 3 1", or from a list or tensor.

    ValueError, with what is allowed, for anything else, such as several inputs.
    """
    if isinstance(tokens, str):
        text = tokens.strip()
        pieces = re.split(r"[\s,]+", text) if re.search(r"[\s,]", text) else text
        tokens = [int(p) if re.fullmatch(r"-?[0-9]{1,18}", p) else p for p in pieces if p]
    found = check_tokens(tokens, length).flatten().tolist()
    if len(found) != length:
        raise ValueError(f"got {len(found) // length} inputs; allowed is one, of {length} tokens")
    return found


def targets(x, task: str = "reverse_plus_one", length: int = LENGTH) -> torch.Tensor:
    """The right outputs for inputs `x`, both `[..., length]`. ValueError on bad tokens or task."""
    if not named(task, TASKS):
        raise ValueError(f"unknown task {shown(task)}; there are {', '.join(TASKS)}")
    return TASKS[task](check_tokens(x, length))


def all_inputs(length: int = LENGTH) -> torch.Tensor:
    """Every input in lexicographic order: int64 `[4**length, length]`.

    ValueError for a `length` that is not allowed: 1 to 10 digits can be listed.
    """
    if not is_whole(length, 1, LONGEST_LIST):
        can = f"inputs of 1 to {LONGEST_LIST} digits can be listed, no others are allowed"
        raise ValueError(f"got {shown(length)} digits; {can}")
    length = int(length)
    return torch.cartesian_prod(*[torch.arange(DIGITS)] * length).reshape(-1, length)


def number(x: torch.Tensor) -> torch.Tensor:
    """The places of inputs `[..., length]` in `all_inputs`: int64 `[...]`."""
    worth = DIGITS ** torch.arange(x.shape[-1] - 1, -1, -1, device=x.device)
    return (x * worth).sum(-1)


def full_sequences(x=None, task: str = "reverse_plus_one", length: int = LENGTH) -> torch.Tensor:
    """`[BOS, x, y]` for the inputs `x` (default: all of them): int64 `[n, 2 * length + 1]`.

    ValueError for bad tokens, task or length.
    """
    x = all_inputs(length) if x is None else check_tokens(x, length).reshape(-1, length)
    bos = torch.full((len(x), 1), BOS, device=x.device)
    return torch.cat([bos, x, targets(x, task, length)], dim=1)


def split(sequences: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffle all 65,536 sequences and cut: (train `[60000, 17]`, hold-out `[5536, 17]`).

    The order comes from numpy's generator, which gives the same permutation on every machine.
    ValueError for fewer sequences, or a seed that is no whole number from 0 on.
    """
    if not isinstance(sequences, torch.Tensor) or sequences.dim() != 2:
        raise ValueError(f"got {shown(sequences)}; allowed is the tensor of all {N_SEQUENCES}")
    if len(sequences) != N_SEQUENCES:
        got = f"got {len(sequences)} sequences"
        raise ValueError(f"{got}; the split is of all {N_SEQUENCES}, fewer are not allowed")
    rng = np.random.default_rng(whole(seed, "seed"))
    order = torch.from_numpy(rng.permutation(N_SEQUENCES))
    return sequences[order[:N_TRAIN]], sequences[order[N_TRAIN:]]
