"""Hostile input: whatever a reader gives to a public function, it is refused in words or answered
right, and nothing is changed by it.

Each case draws its inputs with hypothesis: good ones, bad ones, and good ones with one thing wrong.
They are the same in every run; HOSTILE=10 in the environment draws ten times as many, at random.
"""

import ast
import copy
import dataclasses
import hashlib
import html
import importlib
import inspect
import io
import json
import math
import os
import pickle
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from IPython.display import HTML
from samples import random_weights

from conftest import NO_NETWORK, ROOT, missing, python, read
from helpers import evaluation as Ev
from helpers import interventions as I
from helpers import model as M
from helpers import plotting as P
from helpers import proof as R
from helpers import storage
from helpers import survey as S
from helpers import task as T
from helpers import training as Tr
from helpers.reader import claims, exercises, page
from helpers.reader import explorers as E
from helpers.reader import line as L
from tools import survey as tool

TIMES = int(os.environ.get("HOSTILE", "0"))
AT_LEAST = 20_000  # inputs in all

# ---------------------------------------------------------------- what is given

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror='alert(1)'>",
    "\"'><b>",
    "</td>&amp;",
    "%{x}",
]
NAMES = [
    "",
    " ",
    "None",
    "article",
    "../article",
    "a" * 5000,
    "\0",
    "zoo",
    "ärtïcle",
    "../../etc/passwd",
]


class Rude:
    """An object that cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


def nested(depth: int) -> list:
    """0 in so many lists."""
    value = 0
    for _ in range(depth):
        value = [value]
    return value


@cache
def oddities() -> list:
    """Values of every sort that Python, numpy and torch have."""
    numbers = [
        True,
        False,
        -1,
        0,
        1,
        2,
        7,
        8,
        10**30,
        -(10**30),
        10**5000,
        2**63,
        0.0,
        1.0,
        1.5,
        -0.5,
    ]
    numbers += [math.nan, math.inf, -math.inf, 1e308, 5e-324, 1j, np.int8(3), np.uint64(2**64 - 1)]
    numbers += [np.float32(1), np.float64("nan"), np.bool_(True), np.complex64(1j)]
    words = [
        *MARKUP,
        *NAMES,
        "01232031",
        "3222 1200",
        "9" * 5000,
        "٣٢٢٢١٢٠٠",
        b"01232031",
        bytearray(8),
    ]
    lists = [[], [[]], (), {}, set(), {0, 1}, {"a": 1}, [None] * 8, [0] * 7, [0] * 9, [True] * 8]
    lists += [[0.0] * 8, ["0"] * 8, [[0] * 8], [[0] * 8, [1] * 8], [[0] * 8, [0] * 7], [0, [0]]]
    lists += [
        [[[0] * 8], [0] * 8],
        nested(20),
        nested(3000),
        [10**5000] * 8,
        range(8),
    ]
    lists += [[math.nan] * 8, [-1] * 8, [4] * 8, [Rude()] * 8, iter([]), memoryview(b"01230123")]
    arrays = [
        np.zeros(8),
        np.zeros(8, int),
        np.arange(8)[::-1] % 4,
        np.zeros((2, 8), int),
        np.array(3),
    ]
    arrays += [
        np.array([0] * 8, object),
        np.array([None] * 8),
        np.array(["0"] * 8),
        np.zeros((0, 8), int),
    ]
    arrays += [np.zeros(8, ">i4"), np.zeros(8, bool), np.zeros(8, complex), np.zeros(8, "M8[s]")]
    arrays += [
        np.full(8, np.nan),
        np.zeros(8, [("a", int)]),
        np.zeros(8, np.uint64),
        np.empty((1, 1, 8), int),
    ]
    tensors = [
        torch.zeros(8),
        torch.zeros(8).long(),
        torch.tensor(3),
        torch.zeros(0),
        torch.tensor(True),
    ]
    tensors += [
        torch.empty(8, device="meta"),
        torch.zeros(8, 8).long().to_sparse(),
        torch.ones(8).bool(),
    ]
    tensors += [
        torch.full((2, 17), 7),
        torch.zeros(2, 17).long(),
        torch.zeros(2, 17),
        torch.zeros(2, 5).long(),
    ]
    tensors += [
        torch.empty(2, 17, device="meta").long(),
        torch.full((8,), torch.nan),
        torch.zeros(3, 0).long(),
    ]
    tensors += [
        torch.zeros(8, dtype=torch.complex64),
        torch.zeros(1, 2, 3, 17).long(),
        torch.zeros(8).half(),
    ]
    tensors += [torch.zeros(2, 17).to(torch.uint8), -torch.ones(2, 16).long(), torch.zeros(8, 16)]
    others = [
        None,
        ...,
        NotImplemented,
        object(),
        Rude(),
        int,
        max,
        list,
        lambda: 0,
        torch,
        KeyError("x"),
    ]
    others += [
        Path("x"),
        Path("/"),
        Path("."),
        slice(8),
        torch.float64,
        torch.device("cpu"),
        M.Kind(),
        Rude,
    ]
    return numbers + words + lists + arrays + tensors + others


def odd(*more):
    """One of the oddities or of `more`, or something that hypothesis makes up."""
    made = st.one_of(
        st.integers(), st.floats(), st.text(max_size=9), st.lists(st.integers(-2, 9), max_size=9)
    )
    picked = st.integers(0, len(oddities()) - 1).map(lambda i: oddities()[i])
    return st.one_of(
        picked, picked, made, *(m if isinstance(m, st.SearchStrategy) else st.just(m) for m in more)
    )


def often(good, *more):
    """As often `good` as one of the oddities."""
    good = good if isinstance(good, st.SearchStrategy) else st.sampled_from(good)
    others = odd(*more)
    return st.booleans().flatmap(lambda is_good: good if is_good else others)


def mostly(good, *more):
    """Four times in five `good`: for functions that ask for several things."""
    good = good if isinstance(good, st.SearchStrategy) else st.sampled_from(good)
    others = odd(*more)
    return st.integers(0, 4).flatmap(lambda i: good if i else others)


DIGITS = st.lists(st.integers(0, 3), min_size=8, max_size=8)


@st.composite
def tokens(draw):
    """Eight digits in every form; in most of them one thing is wrong."""
    x, how = draw(DIGITS), draw(st.integers(0, 9))
    if how == 0:
        return draw(odd())
    if how < 4:
        x[draw(st.integers(0, 7))] = draw(st.one_of(st.integers(-9, 9), odd()))
    if how in (4, 5):
        x = x * draw(st.integers(0, 3)) + x[: draw(st.integers(0, 8))]
    if how in (1, 4, 6, 7):
        joint = draw(st.sampled_from(["", " ", ",", ", ", "\n", "<", "x", "\0"]))
        return joint.join(str(t) if T.is_whole(t, -99, 99) else "?<"[len(x) % 2] for t in x)
    if how == 8:
        dtype = draw(
            st.sampled_from([torch.long, torch.int8, torch.uint8, torch.float64, torch.bool])
        )
        return (
            torch.tensor(x).to(dtype).reshape(draw(st.sampled_from([(8,), (1, 8), (2, 4), (8, 1)])))
        )
    if how == 9:
        array = np.array(x).astype(draw(st.sampled_from(["i8", "u1", ">i2", "f4", "O", "U1"])))
        return array[:: draw(st.sampled_from([1, -1, 2]))]
    return draw(st.sampled_from([list, tuple]))(x)


@st.composite
def sequences(draw, length=2):
    """Whole sequences of models of so many digits, and others."""
    how = draw(st.integers(0, 2))
    if how == 0:
        return draw(odd())
    if how == 1:
        seed = torch.Generator().manual_seed(draw(st.integers(0, 999)))
        return T.full_sequences(torch.randint(0, 4, (2, length), generator=seed), length=length)
    n = draw(st.integers(0, 4))
    width = 2 * length + draw(st.sampled_from([1, 1, 1, 0, -1, 2]))
    low, high = draw(st.sampled_from([(0, 3), (0, 3), (0, 4), (-1, 3), (0, 9), (-(2**62), 2**62)]))
    shape = draw(st.sampled_from([(n, width), (n, width), (1, n, width), (2, n, width), (width,)]))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    made = torch.randint(low, high + 1, shape, generator=seed)
    return made.to(
        draw(st.sampled_from([torch.long, torch.long, torch.int16, torch.float32, torch.bool]))
    )


def path_in(*names):
    """A path in the folder of the test: one of `names`, or odd."""
    return often([Path(name) for name in names], "a/" * 2100, "\0", "")


# ---------------------------------------------------------------- the models that are asked

SMALL = M.Kind(length=2)  # sixteen inputs


@cache
def article():
    return M.load_trained()


@cache
def small(n=1):
    each = [random_weights(SMALL, seed) for seed in range(n)]
    return M.Zoo(SMALL, {k: torch.stack([w[k] for w in each]) for k in each[0]}, range(n))


@cache
def line():
    return L.find_line(article())


@cache
def small_line():
    return L.find_line(small())


@cache
def survey():
    return S.load_survey()


def models():
    """Small models, and what is none."""
    return often([small(), small(2), M.build("article", 1)], torch.nn.Linear(2, 2), survey())


def finite(value) -> None:
    assert torch.isfinite(torch.as_tensor(value)).all()


def drawn(found, **_) -> None:
    """A figure with data, and words."""
    figure, says = found
    assert isinstance(figure, go.Figure) and len(figure.data) and says.strip()
    assert "<script" not in says


def rid_of(path) -> bool:
    """Take a file away that was asked for, so that any other one is seen."""
    Path(path).unlink()
    return True


def is_zoo(found, **_) -> None:
    assert isinstance(found, M.Zoo) and len(found)
    finite(found(T.full_sequences(length=found.length)))


# ---------------------------------------------------------------- the cases


@dataclasses.dataclass
class Case:
    """A public function `call`, `n` inputs for it, the `errors` that it documents, and what is
    demanded of an answer: `right(found, **given)`."""

    call: Callable
    n: int
    inputs: dict
    right: Callable
    errors: tuple = (ValueError,)


CASES: dict[str, Case] = {}


def case(name, call, n, right, errors=ValueError, /, **inputs):
    errors = errors if isinstance(errors, tuple) else (errors,)
    CASES[name] = Case(call, n, inputs, right, errors)


def equal(wanted):
    """Demands that what is found equals `wanted(**given)`."""

    def right(found, **given):
        asked = wanted(**given)
        same = torch.equal(found, asked) if isinstance(asked, torch.Tensor) else found == asked
        assert same, (found, asked)

    return right


def digits_of(x) -> list:
    """The digits of an accepted input, read in the plainest way."""
    if isinstance(x, str):
        return [int(c) for c in x if c.isdigit()]
    return torch.as_tensor(np.array(x).astype(int)).flatten().tolist()


def tokens_are_right(found, tokens, **_):
    assert found.dtype == torch.long and found.shape[-1] == 8 and ((found >= 0) & (found < 4)).all()
    assert found.flatten().tolist() == digits_of(tokens)


def targets_are_right(found, x, task):
    x = torch.tensor(digits_of(x)).view(-1, 8)
    wanted = [
        [(r[7 - i] + (1 if task == "reverse_plus_one" else r[6 - i])) % 4 for i in range(8)]
        for r in x.tolist()
    ]
    assert found.view(-1, 8).tolist() == wanted


def holds(test):
    """Demands that `test(found, **given)` is true."""

    def right(found, **given):
        assert test(found, **given), (found, given)

    return right


def length_of(value):
    try:
        return len(value)
    except TypeError:  # it has none
        return None


def is_int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


ANY, KIND = odd(), often(["article", "no_mlp", *M.KINDS], SMALL)
SEED = often([0, 1, 7, 2**40], -1, None)
LENGTH = often([1, 2, 3, 5], 11)
DEVICE = st.sampled_from(["cpu"] * 9 + ["cuda:99", "nowhere", "meta"])
TORCHS = (ValueError, RuntimeError, AssertionError, NotImplementedError)  # torch's own: devices

# helpers.task
case("task.shown", T.shown, 270, holds(lambda found, value: 0 < len(found) < 200), value=ANY)
case("task.single", T.single, 270, lambda found, value: None, value=ANY)
case("task.named", lambda value: T.named(value, ["a", "zoo"]), 270,
    equal(lambda value: isinstance(value, str) and value in ("a", "zoo")), value=odd("a", "zoo"))
case("task.is_whole", T.is_whole, 360,
    holds(lambda found, value: not found or value == int(value) >= 0), value=ANY)
case("task.whole", lambda value, high: T.whole(value, "seed", 0, high), 480,
    holds(lambda found, value,
        high: is_int(found) and found == value and (0 <= found <= (high or found))),
    value=odd(3, np.int64(4), torch.tensor(2)), high=st.sampled_from([None, 3, 10 ** 9]))
case("task.whole_numbers", lambda values: T.whole_numbers(values, "seeds"), 360,
    holds(lambda found, values: all(map(is_int, found))),
    values=st.one_of(odd(), st.lists(st.one_of(st.integers(), odd()),
        max_size=4)))
case("task.check_mask", lambda mask: T.check_mask(mask, 3), 360,
    holds(lambda found, mask: len(found) == 3 and all(isinstance(b, bool) for b in found)),
    mask=often(st.lists(st.booleans(), min_size=2, max_size=4), torch.ones(3).bool(), np.ones(3,
        bool)))
case("task.check_tokens", T.check_tokens, 1340, tokens_are_right, tokens=tokens())
case("task.read_tokens", T.read_tokens, 1340, equal(lambda tokens: digits_of(tokens)),
    tokens=tokens())
case("task.targets", T.targets, 580, targets_are_right, x=tokens(),
    task=often(list(T.TASKS), "both"))
case("task.all_inputs", T.all_inputs, 140,
    holds(lambda found, length: found.shape == (4 ** int(length), length)), length=LENGTH)
case("task.full_sequences", T.full_sequences, 430,
    holds(lambda found, x, length: found.shape[1] == 2 * length + 1 and (found[:,
        0] == T.BOS).all()),
    x=st.one_of(st.none(), tokens()),
    length=often([8, 8, 2]).filter(lambda n: not T.is_whole(n, 9)))
case("task.check_sequences", lambda x: T.check_sequences(x, 2), 600,
    holds(lambda found, x: found is x and found.min() >= 0 and (found.max() <= 4)), x=sequences())
case("task.split", T.split, 80,
    holds(lambda found, seed, **_: [len(f) for f in found] == [60000, 5536]),
    sequences=often([T.full_sequences()]), seed=SEED)

# helpers.model
case("model.Kind", M.Kind, 310,
    holds(lambda found, **_: M.shapes(found) and isinstance(found, M.Kind)),
    config=often([{}, {"attn_only": True}, {"d_modle": 8}, {1: 1}]),
    init_std=often([0.1, None, 1]), task=often(list(T.TASKS)),
    length=often([1, 2, 3, 8]).filter(lambda n: not T.is_whole(n, 99)))
case("model.get_kind", M.get_kind, 360, holds(lambda found, kind: isinstance(found, M.Kind)),
    kind=KIND)
case("model.shapes", M.shapes, 310, holds(lambda found, kind: "embed.weight" in found), kind=KIND)
case("model.initial_weights", M.initial_weights, 310,
    lambda found, device, **_: device == "meta" or [finite(w) for w in found.values()], TORCHS,
    kind=KIND, seed=SEED, device=DEVICE)
WEIGHTS = M.initial_weights()


@st.composite
def weights(draw):
    """Weights of the article's model; in most of them one thing is wrong."""
    found, name = dict(WEIGHTS), draw(st.sampled_from(sorted(WEIGHTS)))
    how = draw(st.integers(0, 4))
    if how == 0:
        return draw(odd())
    if how == 1:
        del found[name]
    if how == 2:
        found[draw(st.text(max_size=5) | st.integers())] = found[name]
    if how == 3:
        turned = [found[name].T, found[name].long(), found[name].float(), None, 1.0, [], MARKUP[0]]
        found[name] = (turned + oddities())[draw(st.integers(0, 6) | st.integers(7, 60))]
    return found


def small_weights(weights, **_):
    assert set(weights) == set(WEIGHTS)


case("model.check_shapes", lambda weights, kind: M.check_shapes(weights, kind, "here"), 250,
    lambda found, weights, kind: small_weights(weights), weights=weights(),
    kind=often(["article"]))
case("model.build", lambda weights, kind, seed: M.build(kind, seed, weights), 100,
    holds(lambda found, kind, **_: found.kind == kind), weights=st.one_of(weights(), st.none()),
    kind=often(["article"]), seed=SEED)
case("model.Zoo.where", lambda mask: small(2).where(mask), 310,
    holds(lambda found, mask: len(found) == sum(map(bool, mask)) and (not found.edits)),
    mask=often(st.lists(st.booleans(), min_size=1, max_size=3), torch.ones(2).bool(), [0, 1]))


def edit_of(shape):
    """An edit of a value `[models, n, *shape]`: a tensor or a function, mostly one that fits."""
    made = [
        torch.randn(shape).double(),
        torch.zeros(shape),
        torch.zeros(1),
        torch.zeros(shape).long(),
    ]
    made += [lambda value, tokens: 0 * value, lambda value, tokens: None]
    made += [
        lambda value, tokens: value,
        lambda value, tokens: value[..., 0],
        lambda value, tokens: 1,
    ]
    return odd(*made)


EDITS = {
    "z": edit_of((2, 4)),
    "attn_out": edit_of((2, 4)),
    "post": edit_of((2, 16)),
    "pattern": edit_of((2, 4)),
}
EDITS = st.one_of(
    st.fixed_dictionaries({}, optional=EDITS), st.dictionaries(st.text(max_size=4), ANY), ANY
)
OWN = (ValueError, KeyError, I.NothingChanged)


def edited_is_right(found, edits):
    assert set(found.edits) == set(edits) <= set(M.HOOKS)


case("model.Zoo.edited", lambda edits: small().edited(edits), 310, edited_is_right, OWN,
    edits=EDITS)
case("model.Zoo.__call__", lambda x: small()(x), 340,
    lambda found, x: finite(found) or None if found.shape[-2:] == (2, 5) else 1 / 0, x=sequences())
case("model.Zoo.to", lambda device: small().to(device), 40,
    holds(lambda found, device: len(found) == 1), TORCHS, device=DEVICE)
case("model.check_place", M.check_place, 270, equal(lambda place: None if place in M.HOOKS else 1),
    place=often(list(M.HOOKS)))
case("model.as_zoo", M.as_zoo, 200, holds(lambda found, model: isinstance(found, M.Zoo)),
    model=models())
case("model.load_trained", M.load_trained, 170,
    holds(lambda found, name, folder: found.kind == "article"), (ValueError, TypeError, OSError),
    name=often(["article", "zoo", "survey", "no_mlp"]),
    folder=st.one_of(st.just(M.WEIGHTS), path_in(".", "none")))
case("model.load_zoo", M.load_zoo, 100, holds(lambda found, **_: len(found) == 32),
    (ValueError, TypeError, OSError), kind=KIND,
    path=path_in(*[M.WEIGHTS / f"{name}.safetensors" for name in ("zoo", "article")], "none"))

# helpers.evaluation
SOME = sequences()
case("evaluation.right", Ev.right, 170,
    holds(lambda found, model, sequences: found.dtype == torch.bool and found.shape[1] > 0),
    model=models(), sequences=SOME)
case("evaluation.by_position", Ev.by_position, 170,
    holds(lambda found, **_: ((found >= 0) & (found <= 1)).all()), model=models(), sequences=SOME)
case("evaluation.n_right", Ev.n_right, 170,
    holds(lambda found, sequences, **_: (found >= 0).all()), model=models(), sequences=SOME)
case("evaluation.only_exact", Ev.only_exact, 100, holds(lambda found, zoo: len(found) <= 2),
    zoo=odd(small(), small(2)))

# helpers.interventions
PLACE = often(list(M.HOOKS))
case("interventions.intervene", lambda edits, effect: I.intervene(small(2), edits, effect), 240,
    lambda found, edits, effect: is_zoo(found) if effect else edited_is_right(found, edits), OWN,
    edits=EDITS, effect=st.booleans())
case("interventions.record", lambda place, x: I.record(small(2), place, x), 310,
    lambda found, **_: finite(found), place=PLACE, x=sequences())
case("interventions.mean_of", I.mean_of, 170, lambda found, **_: finite(found),
    model=odd(small(), small(2)), place=PLACE)
FEW = often([None, [0], [1], [0, 1]], st.lists(st.integers(-1, 2), max_size=3))
case("interventions.ablate", lambda **given: I.ablate(small(2), **given), 240,
    lambda found, **_: is_zoo(found), OWN, part=often([*I.PARTS, "post", "z"]),
    how=often(list(I.HOW)), positions=FEW, neurons=FEW, seed=often([0, 1]))
case("interventions.partners", I.partners, 310,
    holds(lambda found, n, seed: sorted(found.tolist()) == list(range(n))),
    n=often([1, 2, 9, 100]).filter(lambda n: not T.is_whole(n, 10 ** 5, 4 ** 10)), seed=SEED)
case("interventions.set_pattern", lambda pattern: I.set_pattern(small(2), pattern), 270,
    lambda found, pattern: is_zoo(found), OWN,
    pattern=often([torch.rand(2, 4), np.ones((2, 4)), [[1, 0, 0, 0]] * 2, torch.full((2, 4),
        math.nan), [[0] * 4]]))
case("interventions.ideal_pattern", I.ideal_pattern, 200,
    holds(lambda found, length: (found.sum(1) == 1).all() and len(found) == length),
    length=often([1, 2, 8]).filter(lambda n: not T.is_whole(n, 10 ** 3)))
case("interventions.directions_of", I.directions_of, 100,
    lambda found, model: [finite(f) for f in found], model=odd(small(), small(2)))
case("interventions.one_direction", I.one_direction, 100, lambda found, model: finite(found[1]),
    model=odd(small(), small(2)))


# helpers.proof, helpers.storage
@cache
def proved():
    return R.prove(small())


def broken_zoo(name, value):
    weights = {k: v.clone() for k, v in small().weights.items()}
    weights[name].view(-1)[0] = value
    return M.Zoo(SMALL, weights, [0])


case("proof.prove", R.prove, 80, holds(lambda found, model: len(found.wrong) == len(found.tree)),
    (ValueError, ArithmeticError),
    model=odd(small(), small(2), st.builds(broken_zoo, st.sampled_from(["embed.weight",
        "unembed.weight"]), st.sampled_from([math.nan, math.inf, -math.inf])),
        small().edited({"z": torch.zeros(1)})))
case("proof.save", R.save, 140,
    holds(lambda found, path, proof: R.load(path, small()).wrong == proof.wrong and rid_of(path)),
    (ValueError, TypeError, OSError), path=path_in("mine.json", "."), proof=odd(proved()))


@st.composite
def proof_text(draw):
    """The text of a proof; in most of them one thing is wrong."""
    R.save("one.json", proved())
    record = json.loads(Path("one.json").read_text())
    Path("one.json").unlink()
    value = draw(odd(math.nan, "0x1p99999", MARKUP[0]).filter(is_json))
    how = draw(st.integers(0, 7))
    node = record["tree"][draw(st.integers(0, 1))]
    while node["nodes"] and draw(st.booleans()):
        node = draw(st.sampled_from(node["nodes"]))
    if how in (1, 2):
        at = record if how == 1 else node
        at[draw(st.sampled_from(sorted(at)))] = value
    elif how == 3:
        node["verdict"] = draw(st.sampled_from(["wrong", "right", "maybe", None, 1]))
    elif how == 4:
        record["tree"] = record["tree"][:1]
    text = json.dumps(record)
    if how == 5:
        text = text[: draw(st.integers(0, len(text)))]
    return {6: "[" * 100_000, 7: str(value)[:200]}.get(how, text)


def is_json(value):
    try:
        return len(json.dumps(value)) < 10**5
    except (TypeError, ValueError, RecursionError):
        return False


def load_proof(text, model):
    path = Path("given.json")
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        return R.load(path, model)
    finally:
        path.unlink()


case("proof.load", load_proof, 270, holds(lambda found, **_: found.wrong == proved().wrong),
    text=proof_text(), model=st.one_of(st.just(small()), odd(small(2))))

NOTE = often(
    [{}, {"a": [1, None]}, {"kind": MARKUP[0]}, {"a": "0" * 64}, {1: 2, "a": 3}, {"a": object()}]
)


def saved_is_right(found, path, tensors, note):
    again, kept = storage.load(path)
    assert again.keys() == tensors.keys() and all(again[k].shape == tensors[k].shape for k in again)
    assert json.loads(json.dumps(note)).items() <= kept.items()
    Path(path).unlink()


NAN_FREE = NOTE.filter(lambda note: not isinstance(note, dict) or "sha256" not in note)
case("storage.save", storage.save, 310, saved_is_right, (ValueError, TypeError, OSError),
    path=path_in("mine.safetensors", "new/mine.safetensors", "."), note=NAN_FREE,
    tensors=often([{}, {"a": torch.zeros(2)}, {"a": 1}, {1: torch.zeros(1)},
        {"a": torch.zeros(4)[::2]}]))
case("storage.write_whole", storage.write_whole, 270,
    holds(lambda found, path, blob: Path(path).read_bytes() == blob and rid_of(path)),
    (ValueError, TypeError, OSError), path=path_in("mine.bin", "new/mine.bin", "."),
    blob=often(st.binary(max_size=9)))
case("storage.sealed", storage.sealed, 200,
    lambda found, blob: None if len(found) == len(blob) else 1 / 0,
    blob=st.one_of(st.binary(max_size=9), st.sampled_from([b"0" * 64, b"a" + b"0" * 64,
        b"0" * 128])))
case("storage.check_seal", storage.check_seal, 200, lambda found, **given: 1 / 0,
    blob=st.one_of(st.binary(max_size=9), st.just(b"0" * 64)),
    expected=st.text(max_size=9) | st.just("0" * 64))


def load_bytes(blob):
    path = Path("given.safetensors")
    path.write_bytes(blob)
    try:
        return storage.load(path)
    finally:
        path.unlink()


@cache
def stored() -> bytes:
    return (M.WEIGHTS / "article.safetensors").read_bytes()


@st.composite
def altered(draw):
    """The bytes of a file with one of them altered, cut short, or none of a file."""
    blob, how = stored(), draw(st.integers(0, 3))
    if how == 0:
        return draw(st.binary(max_size=99))
    if how == 1:
        return blob[: draw(st.integers(0, len(blob) - 1))]
    if how == 2:
        return (draw(st.integers(0, 2**64 - 1))).to_bytes(8, "little") + blob[8:]
    at = draw(st.integers(0, len(blob) - 1))
    return blob[:at] + bytes([blob[at] ^ draw(st.integers(1, 255))]) + blob[at + 1 :]


case("storage.load", load_bytes, 430, lambda found, blob: 1 / 0, blob=altered())

# helpers.survey, helpers.training
COLUMN = often(["seed", "right", "share", "away", "ideal", "pairs"], "wrong")
case("survey.load_survey", S.load_survey, 100, holds(lambda found, **_: len(found)),
    (ValueError, TypeError, OSError), kind=KIND,
    path=st.one_of(st.just(M.WEIGHTS / "article.safetensors"), path_in(".", "none", S.TABLE)))
case("survey.kinds", S.kinds, 70, holds(lambda found, path: "article" in found),
    (ValueError, TypeError, OSError), path=path_in(".", "none", S.TABLE))
case("survey.exact_models", S.exact_models, 70,
    holds(lambda found, kind: found.right("right").all()), kind=KIND)
case("survey.Survey.has", lambda name: survey().has(name), 270,
    holds(lambda found, name: found.dtype == torch.bool), KeyError, name=COLUMN)
case("survey.Survey.__getitem__", lambda name: survey()[name], 200,
    lambda found, name: finite(found), (KeyError, ValueError), name=COLUMN)
case("survey.Survey.right", lambda name: survey().right(name), 200,
    holds(lambda found, name: found.dtype == torch.bool), (KeyError, ValueError), name=COLUMN)
case("survey.Survey.where", lambda mask: survey().where(mask), 200,
    holds(lambda found, mask: len(mask) == 1024),
    mask=often([torch.ones(1024).bool(), torch.arange(1024) < 3, torch.arange(1024), [True] * 3]))
case("survey.Survey.row", lambda seed: survey().row(seed), 200,
    holds(lambda found, seed: found["seed"] == seed), KeyError,
    seed=often([32, 33, 1055, 31, 1056]))
RECIPE = st.just(Tr.Recipe(epochs=1))
SEEDS = often([[0], [0, 1], [], [-1], "12", 3, [True], [0.0], range(2)])
SEEDS = SEEDS.filter(lambda value: (length_of(value) or 0) <= 3)
case("training.recipe_of", Tr.recipe_of, 310,
    holds(lambda found, kind: isinstance(found, Tr.Recipe)), kind=KIND)
case("training.train", lambda **given: Tr.train(recipe=Tr.Recipe(epochs=1), **given), 170,
    lambda found, **_: is_zoo(found[0]), kind=often([SMALL], "nothing"), seeds=SEEDS,
    max_steps=often([0, 1]).filter(lambda n: n is not None and (not T.is_whole(n, 3))),
    orders=often([None], [1]))
case("training.sweep", lambda **given: Tr.sweep(recipe=Tr.Recipe(epochs=1), n_jobs=1, **given),
    100, lambda found, **_: is_zoo(found[0]), kind=often([SMALL], "nothing"), seeds=SEEDS,
    max_steps=st.sampled_from([0, 1]), shard=often([1, 2]))

# helpers.reader
CLAIM = sorted(claims.claims())


def claim_is_right(found, name, measured):
    entry, value = claims.claims()[name], T.single(measured)
    assert math.isfinite(value) and value == entry.get("equals", value)
    assert entry.get("at_least", value) <= value <= entry.get("at_most", value)


case("reader.claims.claim", claims.claim, 770, claim_is_right,
    (KeyError, TypeError, AssertionError), name=often(CLAIM),
    measured=odd(True, False, 65536, 0, st.floats(), st.integers(-9, 10 ** 5)))
case("reader.page.compare", page.compare, 430, lambda found, **_: None, prediction=ANY,
    measured=ANY)
case("reader.page.k_of_n", page.k_of_n, 620,
    holds(lambda found, k, n: found.startswith(f"{int(k)} of {int(n)} (95 %")),
    k=often(st.integers(-1, 40)), n=often(st.integers(-1, 40)))
case("reader.page.show", lambda name: page.show(go.Figure(), name), 200,
    holds(lambda found, name: name in page.captions()), KeyError,
    name=often(sorted(page.captions())))
case("reader.page.drawing", page.drawing, 140, holds(lambda found, name: name in page.captions()),
    (KeyError, FileNotFoundError), name=odd("line", "circuit"))
case("plotting.show", lambda says: P.show(go.Figure(), says), 100,
    holds(lambda found, says: says.strip()), says=ANY)
case("plotting.in_words", lambda says: P.in_words(go.Figure(), says), 200,
    holds(lambda found, says: found["text/plain"] == says), says=ANY)
case("plotting.drawing", P.drawing, 170, lambda found, **_: None, (ValueError, FileNotFoundError),
    name=often(["line", "circuit"]), says=odd("words"))
case("plotting.circuitsvis", lambda key: P.circuitsvis("<i>", key), 200,
    holds(lambda found, key: re.fullmatch("[\\w-]+", key)), key=odd("all", "whole-pattern"))


def answers():
    """What a reader may write as an answer: values, and functions that do this or that."""

    def raises(error):
        def answer(*case):
            raise error

        return answer

    def gives(value):
        return lambda *case: value

    errors = [
        ValueError(MARKUP[0]),
        NotImplementedError(),
        NotImplementedError("so"),
        KeyError(1),
        RecursionError(),
    ]
    errors += [StopIteration(), UnicodeDecodeError("utf-8", b"a", 0, 1, "so"), AssertionError()]
    calls = [
        max,
        min,
        int,
        dict,
        print,
        len,
        sum,
        sorted,
        lambda x: x,
        lambda: 0,
        lambda *a, **k: a,
        torch.sum,
    ]
    return st.one_of(
        odd(), odd().map(gives), st.sampled_from(errors).map(raises), st.sampled_from(calls)
    )


QUICK = [
    "01-forgotten-mod",
    "01-targets",
    "02-parameters",
    "02-pattern",
    "03-loss",
    "04-ideal-pattern",
    "05-ov",
]


def verdict_is_right(found, name, answer):
    assert found.right in (True, False, None) and found.says
    if found.right:
        target = exercises.EXERCISES[name].target()  # only a number is ever guessed
        assert exercises.same(np.asarray(answer, float), np.asarray(target, float), 2e-3)


case("reader.exercises.judge", exercises.judge, 200, verdict_is_right, KeyError, name=often(QUICK),
    answer=answers())
case("reader.exercises.check", exercises.check, 100, lambda found, **_: None, KeyError,
    name=st.sampled_from(QUICK),
    answer=st.one_of(answers(), st.sampled_from([lambda *a, s=s: torch.zeros(s) for s in ((0, 5),
        (5, 0), (0,), (2, 2, 2), (1, 60))])))
TYPED = DIGITS.map(lambda digits: "".join(map(str, digits)))
TEXT = st.one_of(tokens(), st.text(max_size=9), st.sampled_from(MARKUP))
case("reader.explorers.task_figure", E.task_figure, 100, drawn, tokens=TEXT)
case("reader.explorers.forward_figure", lambda **given: E.forward_figure(article(), **given), 60,
    drawn, tokens=TEXT, stop=often(list(E.STOPS)))
case("reader.explorers.attention_figure", lambda tokens: E.attention_figure(article(), tokens), 40,
    drawn, tokens=TEXT)
case("reader.explorers.line_figure", lambda **given: E.line_figure(line(), **given), 30, drawn,
    output=mostly(st.integers(0, 7), 8), tokens=mostly(TYPED, ""), mlp=mostly([0.0, 1.0]),
    attention=mostly([0.5, 1.0]))
case("reader.explorers.ablation_figure", lambda **given: E.ablation_figure(article(), **given), 30,
    drawn, part=mostly(list(E.PARTS)), how=mostly(["zero", "mean"]), neuron=mostly([0, 15], 16),
    position=mostly([None, 0], 8), tokens=mostly(TYPED, ""))
case("reader.explorers.training_figure", E.training_figure, 120, drawn, kind=KIND, seed=SEED,
    rate=often([0.05, 1.0]), losses=often([[], [1.0]]), accuracies=often([[], [[1.0] * 8]]))
ENDS = often([0, 1], 2)
OUTPUT, STRENGTH = often(st.integers(-1, 8)), often([0.0, 1.0, 1], "1")
case("reader.line.Line.logits", lambda output, mlp: line().logits(output, [0.0, 1.0], mlp), 170,
    lambda found, **_: finite(found), output=OUTPUT, mlp=STRENGTH)
case("reader.line.Line.says", lambda output, mlp: line().says(output, 0.0, mlp), 170,
    holds(lambda found, **_: found in range(5)), output=OUTPUT, mlp=STRENGTH)
case("reader.line.Line.stretches", lambda output, mlp: line().stretches(output, -1.0, 1.0, mlp),
    140, holds(lambda found, **_: found and all((a <= b for a, b, _ in found))), output=OUTPUT,
    mlp=STRENGTH)
case("reader.line.Line.place_of", lambda tokens, output: line().place_of(tokens, output), 200,
    lambda found, **_: finite(found), tokens=TEXT, output=OUTPUT)
case("reader.line.Line.of_source", lambda output, token: line().of_source(output, token), 140,
    holds(lambda found, **_: len(found) == 4 ** 7), output=OUTPUT, token=often(st.integers(-1, 4)))
case("reader.line.Line.model_says", lambda **given: line().model_says(**given), 100,
    holds(lambda found, **_: len(found) == 8), tokens=TEXT, mlp=STRENGTH, attention=STRENGTH)
case("reader.line.Line.predicts", lambda **given: small_line().predicts(**given), 120,
    holds(lambda found, **_: found.shape == (16, 2)), mlp=STRENGTH, attention=STRENGTH)
case("reader.line.find_line", L.find_line, 40,
    holds(lambda found, model: isinstance(found, L.Line)), model=odd(small(), small(2)))
case("reader.line.in_words", L.in_words, 70, holds(lambda found, **_: "highest" in found),
    line=often([small_line()]), output=ENDS, mlp=STRENGTH)
case("reader.line.line_figure", L.line_figure, 80, drawn, line=often([small_line()]),
    output=ENDS, mlp=odd(1.0, (0.0, 1.0)), tokens=st.one_of(st.none(), TEXT))
case("reader.line.line_slider", L.line_slider, 20, drawn, line=often([small_line()]), output=ENDS)
case("reader.line.path_figure", L.path_figure, 20, drawn, line=mostly([line()]),
    tokens=mostly(TYPED, ""), mlp=mostly([0.0, 1.0]))
case("reader.line.line_svg", L.line_svg, 40, holds(lambda found, **_: found.startswith("<svg")),
    line=often([small_line()]), output=ENDS)

# What is not tried here, and why: a reason, and names.
EXEMPT = """
takes nothing: evaluation.one_thread reader.claims.claims reader.page.captions storage.versions
reader.colab.install_missing reader.explorers.explore_task

the steps inside the forward pass, on weights and tokens that were checked: model.forward
model.after_z model.edit_at model.stream_table model.attention_reads model.attention_writes
model.unembed model.layernorm model.linear model.folded model.read_weights model.Zoo
model.Zoo.__getitem__ model.Zoo.__len__ task.number evaluation.hits evaluation.every_input
evaluation.answers interventions.keep_directions

a model alone, or what was opened of one (as_zoo is tried): census.Opened census.Opened.mlp_of
census.Opened.silent_neurons census.Opened.logits census.Opened.says census.Opened.right
census.by_token census.means census.along census.look_or_default census.four_vectors
census.best_constant census.margins census.measure census.pause_of census.pairs_said census.halves
reader.explorers.explore_forward reader.explorers.explore_attention reader.explorers.explore_line
reader.explorers.explore_ablation

builders of figures, whose arrays are made by cells and whose names by us: plotting.numbers
plotting.to_3d plotting.contrast plotting.ink plotting.sized plotting.lines plotting.bars
plotting.heatmap plotting.cell_texts plotting.gallery plotting.scatter3d plotting.strips
plotting.table plotting.as_table

what tools/survey.py alone calls, or takes a table that was read whole: survey.write_table
survey.write_sealed survey.digest survey.load_models survey.y0_of survey.needs_of survey.sorts_of
survey.Survey survey.Survey.__len__

the loop of training, on what train has checked: training.Recipe training.Recipe.lr_at
training.to_grid training.batches training.random_batches

holds what was found: proof.Node proof.Node.walk proof.Proof interventions.NothingChanged
reader.exercises.Verdict reader.line.Line

the answers to the exercises, which judge calls: reader.answers reader.exercises.same

widgets, each of which calls a figure that is tried, and shows its error (below):
reader.explorers.Explorer reader.explorers.TrainingExplorer reader.explorers.explore_training
"""
EXEMPT = {name: why for why, names in re.findall(r"([^:]+):((?:\s+[\w.]+)+)\n", EXEMPT)
          for name in names.split()}


def public_names():
    """Every public function, class and method of helpers, such as `model.Zoo.where`."""
    for path in sorted((ROOT / "helpers").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name, thing in vars(importlib.import_module(module)).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module:
                continue
            short = f"{module}.{name}".removeprefix("helpers.")
            if callable(thing):
                yield short
            for method, inner in vars(thing).items() if inspect.isclass(thing) else ():
                asked = method in ("__call__", "__getitem__", "__len__") or not method.startswith(
                    "_"
                )
                if asked and inspect.isfunction(inner):
                    yield f"{short}.{method}"


WHOLE = ("reader.answers.", "reader.explorers.Explorer.", "reader.explorers.TrainingExplorer.")


def is_exempt(name: str) -> bool:
    return name in EXEMPT or name.startswith(WHOLE)


def test_every_public_function_is_tried_or_is_exempt_for_a_reason():
    names = list(public_names())
    assert len(names) > 150
    untried = [name for name in names if name not in CASES and not is_exempt(name)]
    assert not untried, f"neither tried nor exempt: {', '.join(untried)}"
    gone = [name for name in [*CASES, *EXEMPT] if name not in [*names, "reader.answers"]]
    assert not gone, f"no such public function: {', '.join(gone)}"
    assert not set(CASES) & set(EXEMPT)


# ---------------------------------------------------------------- the trial

# What says that something else is allowed.
ALLOWED = (
    r"allowed|there (are|is)|expected|asked for|can be|eight digits|it holds|must be|only|needs"
    r"|not a whole|is missing|not a parameter|fetch it|not measured"
)
# Messages of Python and the system, and of check_seal, which storage.load puts into words.
SYSTEM = r"\[Errno \d+\]|embedded null|not JSON serializable|not supported between|SHA-256|zeros"


def mentions(message: str, value, depth=0) -> bool:
    """Whether `message` says something of `value`: itself, its type, shape, length or a part."""
    if re.search(r"\bholds |shape|got \d+ tokens|given\.json", message):
        return True
    if isinstance(value, M.Zoo) and "model" in message:
        return True
    if isinstance(value, (torch.Tensor, np.ndarray)):
        if str(value.dtype) in message or re.search("tokens|inputs", message):
            return True
    try:
        words = [T.shown(value), f"{value}"[:60], type(value).__name__, repr(value)[:60]]
    except Exception:  # rude, or an int with too many digits
        words = [T.shown(value), type(value).__name__]
    if any(word and word in message for word in words):
        return True
    if (n := length_of(value)) is not None and f"{n} " in message:
        return True
    if isinstance(value, (str, Path)) and f"{Path(value)} is missing" in message:
        return True
    parts = value if isinstance(value, (list, tuple, dict, str)) and depth < 4 else ()
    return any(mentions(message, part, depth + 1) for part in list(parts)[:20])


def assert_is_clear(error: Exception, inputs: dict) -> None:
    """The message is of a sensible length, and says what was given and what is allowed."""
    message = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if re.search(SYSTEM, message) or isinstance(error, I.NothingChanged):
        return
    assert 0 < len(message) < 6000, len(message)
    assert re.search(ALLOWED, message), f"what is allowed? {message}"
    assert any(mentions(message, value) for value in inputs.values()), f"what was given? {message}"


def world() -> dict:
    """What no call may change: stored files, shared weights, settings of torch and numpy."""
    total = hashlib.sha256()
    for zoo in (small(), small(2), M.as_zoo(article()), line().zoo):
        for name, value in sorted(zoo.weights.items()):
            total.update(name.encode() + value.numpy().tobytes())
    files = {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(M.WEIGHTS.iterdir())}
    return dict(
        weights=total.hexdigest(),
        files=files,
        here=os.getcwd(),
        left=[str(path) for path in Path().rglob("*") if path.is_file()],
        torch=(torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
        rng=(
            hashlib.sha256(torch.get_rng_state().numpy()).hexdigest(),
            str(np.random.get_state()[1][:3]),
        ),
        kinds=str(M.KINDS),
        hooks=str(M.HOOKS),
        claims=len(claims.claims()),
        survey=len(survey()),
        edits=(small().edits, small(2).edits),
        environment=dict(os.environ) | {"PYTEST_CURRENT_TEST": ""},
    )


COUNTS: dict[str, Counter] = {}


def trial(name: str) -> Callable:
    """The test of a case: hypothesis calls it with input after input."""
    tried, count = CASES[name], COUNTS.setdefault(name, Counter())

    @settings(
        max_examples=tried.n * max(1, TIMES),
        derandomize=not TIMES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    @given(st.fixed_dictionaries(tried.inputs))
    def one(inputs):
        kept = copy.copy(inputs)
        try:
            found = tried.call(**inputs)
        except tried.errors as error:
            count["refused"] += 1
            if torch_says(error):
                return
            assert_is_clear(error, inputs)
            return
        count["accepted"] += 1
        tried.right(found, **kept)

    return one


def torch_says(error) -> bool:
    """Whether the error is torch's own, about a device."""
    return isinstance(error, (RuntimeError, AssertionError, NotImplementedError)) and bool(
        re.search("device|CUDA|cuda|meta", str(error))
    )


@pytest.fixture
def alone(tmp_path, monkeypatch, capsys):
    """An empty folder to work in, and no page to draw on."""
    monkeypatch.chdir(tmp_path)
    for module in (P, exercises):
        monkeypatch.setattr(module, "display", lambda *_, **__: None)
    yield
    capsys.readouterr()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of numpy and torch, about the oddest of the inputs
@pytest.mark.parametrize("name", CASES)
def test_whatever_is_given_is_refused_in_words_or_answered_right(name, alone):
    before = world()
    trial(name)()
    after = world()
    assert before == after


@pytest.mark.slow
def test_so_many_inputs_were_tried():
    if set(COUNTS) != set(CASES):
        missing("the other tests of this file were not run")
    for name, count in COUNTS.items():
        print(f"{name:40} {count['refused']:6,} refused {count['accepted']:6,} accepted")
    total = sum(COUNTS.values(), Counter())
    print(f"{'all':40} {total['refused']:6,} refused {total['accepted']:6,} accepted")
    assert total.total() >= AT_LEAST
    assert all(count["refused"] for name, count in COUNTS.items() if name not in NEVER_REFUSED)
    assert all(count["accepted"] for name, count in COUNTS.items() if name not in NEVER_ACCEPTED)


NEVER_REFUSED = ["task.shown", "task.single", "task.named", "task.is_whole"]
NEVER_REFUSED += ["reader.page.compare", "reader.exercises.check"]
NEVER_ACCEPTED = ["storage.check_seal", "storage.load"]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("file", ["article.safetensors", "survey.parquet"])
def test_one_altered_bit_is_noticed_in_200_of_200_bytes(file, tmp_path):
    def load(path):
        return S.load_survey(path=path) if file.endswith("parquet") else storage.load(path)

    seed = random.randrange(2**32) if TIMES else 0
    print(f"bytes chosen by random.Random({seed})")
    choose, blob, path = random.Random(seed), (M.WEIGHTS / file).read_bytes(), tmp_path / file
    path.write_bytes(blob)
    load(path)  # as it is, it is taken
    for at in choose.sample(range(len(blob)), 200):
        changed = bytes([blob[at] ^ 1 << choose.randrange(8)])
        path.write_bytes(blob[:at] + changed + blob[at + 1 :])
        with pytest.raises(ValueError, match="was cut short or altered"):
            load(path)


class Canary:
    """An object whose pickle, when it is loaded, writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def pickles(path: Path) -> list[bytes]:
    """A canary as pickle and as torch writes it."""
    torch.save(Canary(path), file := io.BytesIO())
    return [pickle.dumps(Canary(path)), file.getvalue()]


def test_a_canary_sings():
    """Otherwise the next test could not fail."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "canary"
        pickle.loads(pickles(path)[0])
        assert path.exists()
        path.unlink()
        torch.load(io.BytesIO(pickles(path)[1]), weights_only=False)
        assert path.exists()


def sweep_in(folder):
    Tr.sweep(SMALL, [0], Tr.Recipe(epochs=1), max_steps=0, n_jobs=1, folder=folder)
    return folder


def shard_in(folder) -> Path:
    (shard,) = sweep_in(folder).glob("*.safetensors")
    return shard


# Where a file of an untrusted folder is read: how the file is called there, and who reads it.
FOLDERS = {
    "a shard of a sweep": (shard_in, sweep_in),
    "a measured model": (
        lambda folder: tool.measured(folder, "article", 32, 32),
        lambda folder: tool.measure_one(folder, "article", [32], [32], 0),
    ),
    "the zoo": (
        lambda folder: folder / "zoo.safetensors",
        lambda folder: M.load_zoo(path=folder / "zoo.safetensors"),
    ),
    "a model": (
        lambda folder: folder / "mine.safetensors",
        lambda folder: M.load_trained("mine", folder),
    ),
    "the survey's table": (
        lambda folder: folder / "t.parquet",
        lambda folder: S.load_survey(path=folder / "t.parquet"),
    ),
    "the survey's models": (
        lambda folder: folder / "s.safetensors",
        lambda folder: S.load_models(folder / "s.safetensors"),
    ),
    "a proof": (
        lambda folder: folder / "p.json",
        lambda folder: R.load(folder / "p.json", small()),
    ),
}


@pytest.mark.parametrize("which", [0, 1], ids=["pickle", "torch"])
@pytest.mark.parametrize("where", FOLDERS)
def test_a_pickle_in_the_place_of_a_file_is_refused_and_does_not_run(where, which, tmp_path):
    (folder := tmp_path / "folder").mkdir()
    name, reader = FOLDERS[where]
    path, canary = name(folder), tmp_path / "canary"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickles(canary)[which])
    with pytest.raises(ValueError, match=re.escape(path.name)):
        reader(folder)
    assert not canary.exists()


# ---------------------------------------------------------------- nothing is unpickled, no network

MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "socket",
    "ssl",
}
MODULES |= {
    "urllib",
    "http",
    "requests",
    "httpx",
    "aiohttp",
    "ftplib",
    "smtplib",
    "urllib3",
    "xmlrpc",
}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "np.load",
    "numpy.load",
    "joblib.load",
}
CALLS |= {"os.system", "os.popen", "yaml.load", "torch.hub.load", "pd.read_pickle", "joblib.Memory"}


def dangers(source: str) -> list[str]:
    """What in `source` could run code from a file, or reach out of this machine."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module)
        if isinstance(node, ast.Call):
            if ast.unparse(node.func) in CALLS:
                found.append(ast.unparse(node.func))
            unsafe = {"allow_pickle": True, "weights_only": False, "shell": True}
            found += [
                k.arg
                for k in node.keywords
                if k.arg in unsafe and getattr(k.value, "value", "?") is unsafe[k.arg]
            ]
    return found


@pytest.mark.parametrize(
    "path",
    sorted([*(ROOT / "helpers").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_no_source_unpickles_evaluates_or_reaches_out(path):
    assert not dangers(read(path))


def test_what_is_dangerous_is_found():
    for line in (
        "import pickle",
        "from urllib.request import urlopen",
        "import http.client",
        "eval('1')",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run('a', shell=True)",
    ):
        assert dangers(line), line
    assert not dangers("import torch\nmodel.eval()\nload(path)\nre.compile('a')")


WITHOUT = """
import pickle, sys, _pickle
from pathlib import Path
import joblib, numpy, torch
from helpers import model, proof, storage, survey, training

def never(*_, **__):
    raise AssertionError("something was unpickled")

class Never(pickle.Unpickler):
    __init__ = never

import transformer_lens
pickle.load = pickle.loads = _pickle.load = _pickle.loads = torch.load = never
joblib.load = numpy.load = never
pickle.Unpickler = Never
assert model.load_trained().cfg.d_model == 4 and len(model.load_zoo("sum_pairs")) == 32
assert len(survey.load_survey()) == len(survey.load_models()) == 1024 and "no_mlp" in survey.kinds()
folder, small = Path(sys.argv[1]), model.Kind(length=2)
for _ in "train", "read back":
    zoo, _ = training.sweep(small, [0], max_steps=1, n_jobs=1, folder=folder)
proof.save(folder / "p.json", proof.prove(zoo))
assert proof.load(folder / "p.json", zoo).cases
(shard,) = folder.glob("*.safetensors")
assert storage.load(shard)[1]["max_steps"] == 1
try:
    pickle.loads(b"")
except AssertionError as error:
    print("read:", error)
"""


OUT = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"


@pytest.mark.slow
def test_files_are_read_without_pickles_and_without_a_network(tmp_path):
    path, reached = os.pathsep.join([str(NO_NETWORK), str(ROOT)]), tmp_path / "reached"
    (tmp_path / "folder").mkdir()
    done = python(tmp_path, "-c", WITHOUT, "folder", PYTHONPATH=path, REACHED=str(reached))
    assert done.stdout == "read: something was unpickled\n", done.stderr
    assert not done.returncode and not reached.exists()
    done = python(tmp_path, "-c", OUT, PYTHONPATH=path, REACHED=str(reached))
    assert done.returncode and reached.exists(), "what reaches out is not seen"


# ---------------------------------------------------------------- HTML from a reader's words


@pytest.fixture
def html_of(monkeypatch, capsys):
    """A function: the HTML that a call displays or returns; what is only printed is text."""
    shown = []
    for module in (P, exercises):
        monkeypatch.setattr(module, "display", lambda thing, **_: shown.append(thing))

    def html_of(call, *args):
        shown.clear()
        shown.append(call(*args))
        pages = [
            x.data if hasattr(x, "data") else (x or {}).get("text/html", "")
            for x in shown
            if isinstance(x, dict) or hasattr(x, "data") and isinstance(x.data, str)
        ]
        capsys.readouterr()
        return "".join(pages)

    return html_of


def tags(page: str) -> list:
    """The tags of a page and their attributes, as a browser reads them."""
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, sorted(name for name, _ in attributes)))

    Reader().feed(page)
    return found


def caption_of(words):
    P.show(go.Figure(), words)


def drawing_of(words):
    P.drawing("line", words)


def table_of(words):
    return P.table([[words, 1], ["2", words]], ["", words], words)


def claim_of(words):
    with pytest.raises((KeyError, TypeError)):
        claims.claim(words, words)
    with pytest.raises(TypeError):
        claims.claim("exact-05", words)


def compare_of(words):
    page.compare(words, words)


def answer_of(words):
    def answer(*_):
        raise ValueError(words)

    for value in (words, answer, lambda *_: words):
        exercises.check("01-targets", value)
        exercises.check("02-parameters", value)


def explorer_of(words):
    """All that an explorer writes as HTML after these words were typed, or raised."""
    box = E.explore_task()
    box.controls["tokens"].value = words
    pages = [box.alert.value, box.caption.value]
    for error in (ValueError(words), KeyError(words)):
        box.failed(error)
        pages.append(box.alert.value)
    box.show(go.Figure(), words)
    pages += [box.alert.value, box.caption.value]
    return HTML("".join(pages))


WRITERS = [caption_of, drawing_of, table_of, claim_of, compare_of, answer_of, explorer_of]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("words", [m for m in MARKUP if "%" not in m])
def test_a_readers_words_are_text_on_every_page(writer, words, html_of):
    plain = html_of(writer, "abc")
    made = html_of(writer, words)
    assert tags(made) == tags(plain)
    if "abc" in plain:
        assert html.escape(words) in made and words not in made


def test_words_that_are_not_escaped_would_be_seen(html_of, monkeypatch):
    words = MARKUP[0]
    escaped = [tags(html_of(writer, words)) for writer in WRITERS]
    monkeypatch.setattr(html, "escape", lambda text, *_: text)
    bare = [tags(html_of(writer, words)) for writer in WRITERS]
    assert [a != b for a, b in zip(escaped, bare)] == [True, True, True, False, False, False, True]


def test_a_drawing_for_readme_escapes_its_words():
    assert "<script" not in L._text(0, 0, MARKUP[0], 12)
