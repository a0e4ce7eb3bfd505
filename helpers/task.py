"""The task: tokens, targets, all sequences, the split. Knows torch and numpy only.

A sequence is `[BOS, x0, x1, ..., y0, y1, ...]`: with eight digits, the default, 17 tokens. The
digits are 0..3, BOS is 4. `length`, the number of digits, is a parameter wherever it matters.
"""

import operator
import re

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


def one_of(given, names, what: str):
    """`given`, which has to be one of `names`; ValueError, with the names there are, if it is not.
    `what` says in the error what it is the name of."""
    if not isinstance(given, str) or given not in names:
        raise ValueError(f"unknown {what} {given!r}; there are {', '.join(names) or 'none'}")
    return given


def whole(given, what: str, low: int = 0, high: int | None = None) -> int:
    """`given` as an int; ValueError unless it is a whole number from `low` to `high` (or on)."""
    try:
        number = operator.index(given)  # numpy's and torch's whole numbers too
    except (TypeError, ValueError, RuntimeError):
        number = None
    top = float("inf") if high is None else high
    if number is None or isinstance(given, bool) or not low <= number <= top:
        end = "on" if high is None else f"to {high}"
        raise ValueError(f"got {what} {given!r}; allowed are whole numbers from {low} {end}")
    return number


def read_tokens(tokens, length: int = LENGTH) -> list[int]:
    """One input from text such as "01232031" or "0 1 2 3 2 0 3 1", or from a list or tensor.
    ValueError, with what is allowed, for anything else, such as several inputs."""
    listed = re.sub(r"[\s,]", "", tokens) if isinstance(tokens, str) else tokens
    listed = listed.tolist() if hasattr(listed, "tolist") else listed
    digits = "0123" if isinstance(tokens, str) else range(DIGITS)
    plain = isinstance(listed, (str, list, tuple)) and not any(
        isinstance(token, (bool, float)) or token not in digits for token in listed
    )
    if not plain or len(listed) != length:
        raise ValueError(f"got {tokens!r}; allowed are {length} digits from 0 to {DIGITS - 1}")
    return [int(token) for token in listed]


def targets(x, task="reverse_plus_one") -> torch.Tensor:
    """The right outputs for inputs `x`, both `[..., length]`, by a name of `TASKS` or by a rule of
    your own: a function of digits `[n, length]`. ValueError for an unknown name, and for a rule
    that does not make as many digits of each input, the same whatever stands beside it."""
    rule, x = task if callable(task) else TASKS[one_of(task, TASKS, "task")], torch.as_tensor(x)
    rows = x.reshape(-1, x.shape[-1])
    y, alone = rule(rows.clone()), rule(rows[-1:].clone())  # copies: a rule may write into them
    if not isinstance(y, torch.Tensor) or y.shape != rows.shape or y.is_floating_point():
        made = f"{y.dtype} {list(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        given = f"a tensor like the one that it is given, {rows.dtype} {list(rows.shape)}"
        raise ValueError(f"the rule makes {made}; allowed: {given}")
    bad = ((y < 0) | (y >= DIGITS)).any(1)
    if bad.any():
        made = f"{y[bad][0].tolist()} of {rows[bad][0].tolist()}"
        raise ValueError(f"the rule makes {made}; allowed: digits from 0 to 3")
    if not torch.equal(y[-1:], alone):
        made = f"{y[-1].tolist()} of {rows[-1].tolist()} once, and {alone[0].tolist()} another time"
        raise ValueError(f"the rule makes {made}; allowed: of the same input always the same")
    return y.reshape(x.shape).to(x.dtype)


def all_inputs(length: int = LENGTH) -> torch.Tensor:
    """Every input in lexicographic order: int64 `[4**length, length]`.
    ValueError for a `length` that is not allowed: 1 to 10 digits can be listed."""
    length = whole(length, "a number of digits to list", 1, LONGEST_LIST)
    return torch.cartesian_prod(*[torch.arange(DIGITS)] * length).reshape(-1, length)


def number(x: torch.Tensor) -> torch.Tensor:
    """The places of inputs `[..., length]` in `all_inputs`: int64 `[...]`."""
    return (x * DIGITS ** torch.arange(x.shape[-1] - 1, -1, -1, device=x.device)).sum(-1)


def full_sequences(x=None, task="reverse_plus_one", length: int = LENGTH) -> torch.Tensor:
    """`[BOS, x, y]` for the inputs `x` (one or several; default: all of `length` digits): int64
    `[n, 2 * length + 1]`."""
    x = all_inputs(length) if x is None else torch.atleast_2d(torch.as_tensor(x))
    bos = torch.full((len(x), 1), BOS, device=x.device)
    return torch.cat([bos, x, targets(x, task)], dim=1)


def split(sequences: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Shuffle all 65,536 sequences and cut: (train `[60000, 17]`, hold-out `[5536, 17]`).

    The order comes from numpy's generator, which gives the same permutation on every machine.
    ValueError for fewer sequences, or a seed that is no whole number from 0 on.
    """
    if len(sequences) != N_SEQUENCES:
        raise ValueError(f"got {len(sequences)} sequences; the split is of all {N_SEQUENCES}")
    rng = np.random.default_rng(whole(seed, "the seed"))
    order = torch.from_numpy(rng.permutation(N_SEQUENCES))
    return sequences[order[:N_TRAIN]], sequences[order[N_TRAIN:]]
