"""The reader's doors: what comes in is taken, or refused in one sentence with nothing changed."""

import html
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from samples import SOME, random_zoo

import research
from helpers import interventions, model, page, plotting, task, training
from lessons import lesson_01, lesson_02, lesson_06
from research import proof, survey, sweep

X = [3, 2, 2, 2, 1, 2, 0, 0]
ZOO = model.load_zoo()[0]


def test_a_prompt_is_taken_as_people_write_it():
    for given in ("32221200", " 3 2 2 2 1 2 0 0", "3222,1200", X, tuple(X), torch.tensor(X)):
        assert task.read_tokens(given) == X


BAD = ["", "3222120", "322212000", "32221204", "3222120x", "-1222120", "٣٢٢٢١٢٠٠", 32221200, None]
BAD += [X[:7], [*X, 0], [4, *X[1:]], [-1, *X[1:]], [3.0, *X[1:]], ["3", *X[1:]], [True] * 8, [X, X]]
BAD += [b"32221200", torch.zeros(8), np.zeros((2, 8), int)]


@pytest.mark.parametrize("given", BAD, ids=repr)
def test_what_is_no_prompt_is_refused(given):
    said = f"got {given!r}; allowed are 8 digits from 0 to 3"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        task.read_tokens(given)


# What takes a name, and a name that it has to offer in place of a wrong one.
BY_NAME = [
    (model.get_kind, "no_mlp"),
    (model.load_zoo, "sum_pairs"),
    (model.load_trained, "article"),
    (survey.load_survey, "no_mlp"),
    (lambda name: task.targets(X, name), "reverse_plus_one"),
    (lambda name: interventions.ablate(ZOO, name), "attention"),
    (lambda name: interventions.ablate(ZOO, "mlp", name), "resample"),
    (lambda name: interventions.record(ZOO, name, SOME), "attn_out"),
    (lambda name: lesson_02.forward_figure(ZOO.bridge(), stop=name), "ln_final"),
    (lambda name: lesson_06.ablation_figure(ZOO, part=name), "one neuron"),
    (lambda name: lesson_01.check(name, ...), "01-targets"),
]


@pytest.mark.parametrize("call, right", BY_NAME)
def test_an_unknown_name_is_answered_with_those_there_are(call, right):
    for wrong in ("nonesuch", "../article", None):
        with pytest.raises((ValueError, KeyError), match=f"{wrong!r}.*there are .*{right}"):
            call(wrong)


BY_SEED = [
    lambda seed: model.build("article", seed),
    lambda seed: training.train("article", [seed], max_steps=0),
    lambda seed: task.split(task.full_sequences(), seed),
    lambda seed: interventions.ablate(ZOO, "mlp", "resample", seed=seed),
]


@pytest.mark.parametrize("call", BY_SEED)
def test_a_seed_is_a_whole_number_from_0_on(call):
    call(np.int64(7))
    for wrong in (-1, 1.5, "0", None, True):
        with pytest.raises(ValueError, match=f"seed {wrong!r}; allowed are whole numbers from 0"):
            call(wrong)


SMALL = model.Kind(length=2)
SWEEP = dict(kind=SMALL, seeds=[0], max_steps=0, n_jobs=1)
READERS = {
    "article.safetensors": lambda path: model.load_trained("article", path.parent),
    "zoo.safetensors": lambda path: model.load_zoo(path=path),
    "survey.safetensors": survey.load_models,
    "survey.parquet": lambda path: survey.load_survey(path=path),
    "proof.json": lambda path: proof.load(path, random_zoo(SMALL, [0])),
    "shard": lambda path: sweep.sweep(**SWEEP, folder=path.parent),
}


@pytest.fixture(params=READERS)
def file(request, tmp_path):
    """(path of a whole file, function of it that reads it)."""
    path = tmp_path / request.param
    if path.name == "proof.json":
        proof.save(path, proof.prove(random_zoo(SMALL, [0])))
    elif path.name == "shard":
        sweep.sweep(**SWEEP, folder=tmp_path)
        (path,) = tmp_path.iterdir()
    else:
        folder = research.WEIGHTS if "survey" in path.name else model.WEIGHTS
        shutil.copy(folder / path.name, path)
    return path, READERS[request.param]


class Canary:  # an object whose pickle, when it is loaded, writes a file
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_is_read_whole_or_refused_by_its_name(file, tmp_path_factory):
    path, read = file
    read(path)
    blob, canary = path.read_bytes(), tmp_path_factory.mktemp("canary") / "canary"
    other = "zoo" if path.name == "article.safetensors" else "article"
    wrong = [b"", blob[:-1], blob[:99], pickle.dumps(Canary(canary))]
    wrong.append((model.WEIGHTS / f"{other}.safetensors").read_bytes())
    if path.name != "proof.json":  # whether a proof holds, tools/check_proof.py checks
        places = range(0, len(blob), len(blob) // 20)
        wrong += [blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :] for i in places]
    for harmed in wrong:
        path.write_bytes(harmed)
        with pytest.raises(ValueError, match=re.escape(path.name)):
            read(path)
        assert path.read_bytes() == harmed and not canary.exists()


@pytest.mark.parametrize("name", [name for name in READERS if name != "shard"])
def test_a_missing_file_is_named(name, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match=Path(name).stem):
        READERS[name](tmp_path / name)


def test_markup_in_a_readers_words_stays_text(monkeypatch):
    words, shown = "<img src=x onerror='alert(1)'>", []
    monkeypatch.setattr(page, "display", lambda thing, **_: shown.append(thing))
    page.show(go.Figure(), says=words)
    box = lesson_01.explore_task()
    box.show(go.Figure(), words)
    box.failed(ValueError(words))
    shown.append(plotting.table([[words, 1]], ["", words], words))
    _, caption, table = shown
    for made in (caption["text/html"], table.data, box.caption.value, box.alert.value):
        assert words not in made and words in html.unescape(made)
