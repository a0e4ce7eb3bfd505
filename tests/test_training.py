"""helpers.training: the loop, its reproducibility, evaluation, and sweeps that can be interrupted."""

import dataclasses
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from helpers import model as M
from helpers import task as T
from helpers import training as R


def plain_loop(seed, steps):
    """The loop as notebook 03 writes it, on a TransformerBridge."""
    train_set, _ = T.split(T.full_sequences())
    model, recipe = M.build("article", seed=seed), R.RECIPE
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    for step, batch in zip(range(steps), R.batches(train_set, seed)):
        out = model(batch[:, :16])[:, 8:]
        optimizer.zero_grad()
        F.cross_entropy(out.flatten(0, 1), batch[:, 9:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        for p in model.parameters():
            p.grad = R.to_grid(p.grad)
        optimizer.param_groups[0]["lr"] = recipe.lr_at(step)
        optimizer.step()
    return M.read_weights(model)


def test_stacked_training_is_the_plain_loop():
    zoo, history = R.train("article", [4, 5], max_steps=50)
    assert history["loss"].shape == (50, 2) and history["accuracy"].shape == (50, 2, 8)
    for i, seed in enumerate((4, 5)):
        for name, value in plain_loop(seed, 50).items():
            assert (zoo.weights[name][i] - value).abs().max() < 1e-4, (seed, name)


def test_a_model_that_leaves_the_stack_does_not_disturb_the_others():
    easy = dataclasses.replace(R.RECIPE, patience=1)
    zoo, history = R.train("article", [0, 1], easy)
    assert history["stopped"].all() and history["steps"].unique().numel() == 2
    for i, seed in enumerate((0, 1)):
        alone, alone_history = R.train("article", [seed], easy)
        assert alone_history["steps"] == history["steps"][i]
        for name, value in alone.weights.items():
            assert (zoo.weights[name][i] - value[0]).abs().max() < 1e-6
    late = int(history["steps"].max()) - 1
    assert history["loss"][late].isnan().sum() == 1  # only the other one was still training


CODE = """
import torch
from helpers import training as R
torch.set_num_threads(THREADS)
zoo, history = R.train("article", [0], max_steps=300)
print(repr([history["loss"][s, 0].item() for s in (0, 99, 199, 299)]))
"""


def test_training_does_not_depend_on_the_processor_or_the_threads():
    """The same losses with the vector instructions of this machine and without: chaos is held off."""
    runs = []
    for capability, threads in ((None, 1), (None, 2), ("default", 1)):
        env = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
        if capability:
            env["ATEN_CPU_CAPABILITY"] = capability
        code = CODE.replace("THREADS", str(threads))
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        runs.append(torch.tensor(eval(done.stdout), dtype=torch.float64))
    for run in runs[1:]:
        assert (run - runs[0]).abs().max() < 1e-9
    assert runs[0][-1] < runs[0][0] / 2  # it had learnt by then


def test_holdout_is_never_trained_on():
    train_set, holdout = T.split(T.full_sequences())
    place = T.DIGITS ** torch.arange(7, -1, -1)
    number = lambda s: (s[:, 1:9] * place).sum(1)
    short = dataclasses.replace(R.RECIPE, epochs=1)
    seen = torch.cat([number(b) for b in R.batches(train_set, 0, short)])
    assert len(seen) == len(seen.unique()) == short.max_steps * short.batch
    assert not set(seen.tolist()) & set(number(holdout).tolist())


def test_evaluation_counts_what_it_should():
    sequences = T.full_sequences()[::257]
    wrong_last = lambda tokens: F.one_hot(
        torch.cat([tokens[:, 9:16], (tokens[:, 16:] + 1) % 4], 1), T.VOCAB
    ).double()
    assert R.by_position(wrong_last, sequences).tolist() == [1.0] * 7 + [0.0]
    assert R.n_right(wrong_last, sequences) == 0
    model = M.load_trained()
    assert R.n_right(model, sequences) == len(sequences)
    assert R.n_right(M.as_zoo(model), sequences).tolist() == [len(sequences)]


def test_rate_falls_to_zero():
    recipe = R.RECIPE
    assert recipe.lr_at(0) == recipe.lr and abs(recipe.lr_at(recipe.max_steps)) < 1e-12
    assert recipe.epochs <= 30


def test_bad_seeds_are_refused():
    for seeds in ([], [-1]):
        with pytest.raises(ValueError, match="seeds"):
            R.train("article", seeds, max_steps=1)
    with pytest.raises(ValueError, match="each once"):
        R.sweep("article", [1, 1], max_steps=1)
    with pytest.raises(ValueError, match="unknown model"):
        R.train("articel", [0], max_steps=1)


def test_sweep_is_train_and_resumes_where_it_stopped(tmp_path, monkeypatch):
    zoo, history = R.sweep("article", [0, 1, 2], max_steps=20, shard=2, folder=tmp_path)
    alone, _ = R.train("article", [2], max_steps=20)
    assert all((zoo.weights[k][2] - alone.weights[k][0]).abs().max() < 1e-6 for k in zoo.weights)
    kept = sorted(tmp_path.glob("*.safetensors"))
    assert len(kept) == 2
    assert not list(tmp_path.glob(".*"))  # no half-written file
    kept[0].unlink()  # as if the sweep had been interrupted in its first shard
    calls = []
    real = R.train
    monkeypatch.setattr(R, "train", lambda *a, **k: calls.append(a[1]) or real(*a, **k))
    again, again_history = R.sweep(
        "article", [0, 1, 2], max_steps=20, shard=2, n_jobs=1, folder=tmp_path
    )
    assert calls == [[0, 1]]  # the other shard was read back
    assert all(torch.equal(zoo.weights[k], again.weights[k]) for k in zoo.weights)
    assert torch.equal(history["loss"], again_history["loss"])
