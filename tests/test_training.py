"""helpers.training: the loop, its reproducibility, devices, and sweeps that can be interrupted."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from helpers import interventions as I
from helpers import model as M
from helpers import task as T
from helpers import training as R
from helpers.evaluation import by_position, n_right


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


@pytest.mark.slow
def test_stacked_training_is_the_plain_loop():
    zoo, history = R.train("article", [4, 5], max_steps=50)
    assert history["loss"].shape == (50, 2) and history["accuracy"].shape == (50, 2, 8)
    for i, seed in enumerate((4, 5)):
        for name, value in plain_loop(seed, 50).items():
            assert (zoo.weights[name][i] - value).abs().max() < 1e-4, (seed, name)


@pytest.fixture(scope="module")
def early():
    """Two models that stop at their first batch without a mistake, trained together."""
    recipe = dataclasses.replace(R.RECIPE, patience=1)
    return recipe, *R.train("article", [0, 1], recipe)


@pytest.mark.slow
def test_a_model_that_leaves_the_stack_does_not_disturb_the_others(early):
    recipe, zoo, history = early
    assert history["stopped"].all() and history["steps"].unique().numel() == 2
    late = int(history["steps"].max()) - 1
    assert history["loss"][late].isnan().sum() == 1  # only the other one was still training
    # each alone in its shard, and the shards of different lengths put side by side
    alone, expected = R.sweep("article", [0, 1], recipe, shard=1, n_jobs=1)
    assert torch.equal(history["steps"], expected["steps"])
    for name, value in alone.weights.items():
        assert (zoo.weights[name] - value).abs().max() < 1e-6
    for name in ("loss", "accuracy"):
        assert torch.equal(history[name].isnan(), expected[name].isnan())
        assert torch.allclose(history[name], expected[name], equal_nan=True, atol=1e-6)


CODE = """
import torch
from helpers import training as R
torch.set_num_threads(THREADS)
zoo, history = R.train("article", [0], max_steps=300)
print(repr([history["loss"][s, 0].item() for s in (0, 99, 199, 299)]))
"""


@pytest.mark.slow
def test_training_does_not_depend_on_the_processor_or_the_threads():
    """The same losses with this machine's vector instructions and without: chaos is held off."""
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


def test_gradients_are_rounded_where_they_are_used(monkeypatch):
    given, plain = [], R.to_grid

    def watched(gradient):
        given.append((gradient, plain(gradient)))
        return given[-1][1]

    monkeypatch.setattr(R, "to_grid", watched)
    R.train("article", [0], max_steps=2)
    assert len(given) == 2 * len(M.shapes("article"))
    for gradient, rounded in given:
        steps = rounded * 2**20
        assert torch.equal(steps, steps.round())
        assert (gradient - rounded).abs().max() <= 2**-21
    assert any(not torch.equal(gradient, rounded) for gradient, rounded in given)


def test_each_model_is_clipped_as_torch_clips_one():
    """One gradient that is too long and one that is not, in one stack."""
    start = {k: torch.stack([v, v]).requires_grad_() for k, v in M.initial_weights().items()}
    for value in start.values():
        value.grad = torch.ones_like(value)
        value.grad[0], value.grad[1] = 3.0, 1e-3
    alone = [torch.nn.Parameter(v[0].detach().clone()) for v in start.values()]
    for one, value in zip(alone, start.values()):
        one.grad = value.grad[0].clone()
    torch.nn.utils.clip_grad_norm_(alone, 1.0)
    R._clip(start, 1.0)
    for one, value in zip(alone, start.values()):
        assert torch.allclose(value.grad[0], one.grad) and value.grad[0].abs().max() < 3
        assert torch.equal(value.grad[1], torch.full_like(value.grad[1], 1e-3))


def test_holdout_is_never_trained_on():
    train_set, holdout = T.split(T.full_sequences())

    def number(sequences):
        return T.number(sequences[:, 1:9])

    short = dataclasses.replace(R.RECIPE, epochs=1)
    seen = torch.cat([number(b) for b in R.batches(train_set, 0, short)])
    assert len(seen) == len(seen.unique()) == short.max_steps * short.batch
    assert not set(seen.tolist()) & set(number(holdout).tolist())


def test_rate_falls_along_a_cosine_to_zero():
    recipe = dataclasses.replace(R.RECIPE, lr=0.3, epochs=2)
    assert recipe.max_steps == 2 * (60_000 // 128)
    assert recipe.lr_at(0) == 0.3 and abs(recipe.lr_at(recipe.max_steps)) < 1e-12
    assert recipe.lr_at(recipe.max_steps // 2) == pytest.approx(0.15)
    rates = [recipe.lr_at(step) for step in range(recipe.max_steps)]
    assert rates == sorted(rates, reverse=True)


def test_kinds_have_their_recipes():
    assert R.recipe_of("article") is R.RECIPE and R.recipe_of(M.Kind(length=16)) is R.RECIPE
    assert R.recipe_of("sum_pairs").lr < R.RECIPE.lr
    with pytest.raises(ValueError, match="unknown model"):
        R.recipe_of("articel")


def test_no_step_is_no_step_and_fewer_are_refused():
    zoo, history = R.train("article", [0, 1], max_steps=0)
    start = M.initial_weights("article", 1)
    assert all(torch.equal(zoo.weights[k][1], start[k]) for k in start)
    assert history["loss"].shape == (0, 2) and history["accuracy"].shape == (0, 2, 8)
    assert history["steps"].tolist() == [0, 0] and not history["stopped"].any()
    for run in (R.train, R.sweep):
        with pytest.raises(ValueError, match="max_steps=-1; allowed are whole numbers from 0"):
            run("article", [0], max_steps=-1)
    few = dataclasses.replace(R.RECIPE, epochs=1, batch=20_000)
    assert R.train("article", [0], few, max_steps=9)[1]["steps"].tolist() == [3]  # the recipe's


def test_a_run_ends_when_on_step_says_so():
    seen = []

    def on_step(step, loss, accuracy):
        seen.append((step, loss.shape, accuracy.shape))
        return step == 2

    _, history = R.train("article", [0, 1], max_steps=9, on_step=on_step)
    assert seen == [(step, (2,), (2, 8)) for step in range(3)]
    assert history["steps"].tolist() == [3, 3] and not history["stopped"].any()


@pytest.mark.slow
def test_the_readers_process_is_left_as_it_was():
    code = """
import torch
before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
state = torch.get_rng_state()
from helpers import evaluation, interventions, model, storage, task, training
zoo, _ = training.train("article", [0], max_steps=2)
evaluation.n_right(zoo)
with torch.no_grad():  # a reader may have switched it off
    training.train("article", [0], max_steps=2)
    assert not torch.is_grad_enabled()
assert before == (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype())
assert torch.equal(state, torch.get_rng_state())
assert not any(w.requires_grad for w in zoo.weights.values())
"""
    env = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sixteen_digits_are_a_configuration_and_no_code():
    kind = M.Kind(length=16)
    zoo, history = R.train(kind, [0, 1], max_steps=3)
    assert history["accuracy"].shape == (3, 2, 16) and zoo.length == 16
    (batch,) = list(R.random_batches(zoo.task, 16, 0, R.RECIPE))[:1]
    assert torch.equal(T.full_sequences(batch[:, 1:17], zoo.task, 16), batch)
    share = by_position(zoo, batch)
    assert share.shape == (2, 16) and n_right(zoo, batch).shape == (2,)
    assert torch.equal(by_position(zoo[0], batch), share[:1])
    pattern = I.ideal_pattern(16)
    assert torch.equal(I.record(I.set_pattern(zoo, pattern), "pattern", batch)[0, 0], pattern)
    silent = I.ablate(zoo, "attention", positions=[15])
    assert torch.equal(I.record(silent, "attn_out", batch)[:, :, 15].unique(), torch.zeros(1))
    with pytest.raises(ValueError, match="got 16 digits; inputs of 1 to 10 digits can be listed"):
        n_right(zoo)
    swept, _ = R.sweep(kind, [0, 1], max_steps=3, shard=1, n_jobs=1)
    assert "n_right" not in swept.info and swept.info["steps"] == [3, 3]


# ---------------------------------------------------------------- devices


def use_everything(device):
    """Numbers from all that takes a device."""
    zoo, history = R.train("article", [0, 1], max_steps=2, device=device)
    swept, _ = R.sweep("no_mlp", [0, 1], max_steps=2, shard=1, n_jobs=1, device=device)
    long, _ = R.train(M.Kind(length=9), [0], max_steps=2, device=device)
    loaded = M.load_zoo("article", device=device).where([i < 2 for i in range(32)])
    one = M.load_trained(device=device)
    direction, share = I.one_direction(one)
    ideal = [[float(key == 8 - i) for key in range(16)] for i in range(8)]
    edited = {
        "resample": I.ablate(loaded, "mlp", "resample"),
        "mean": I.ablate(one, "attention", "mean", positions=[1, 2]),
        "neurons": I.ablate(one, "post", neurons=range(16)),
        "pattern": I.set_pattern(one, ideal),
        "line": I.intervene(one, {"attn_out": direction}),
        "sum": M.load_zoo("sum_pairs", device=device).where([i < 1 for i in range(32)]),
    }
    sample = T.full_sequences(torch.from_numpy(np.arange(80).reshape(-1, 8) % 4))
    counts = {name: by_position(model, sample) for name, model in edited.items()}
    counts |= {"all": n_right(loaded), "one": n_right(edited["line"]), "swept": n_right(swept)}
    counts |= {"start": M.initial_weights("article", 0, device)["embed.weight"], "share": share}
    counts |= {"loss": history["loss"], "long": n_right(long), "where": n_right(zoo)}
    return counts | {"lens": M.unembed(torch.zeros(2, 3, 4, device=device).double(), zoo.weights)}


@pytest.mark.slow
def test_nothing_inside_assumes_the_default_device():
    """With another default device, a tensor made inside without `device=` would be on that one."""
    before, expected = torch.get_num_threads(), use_everything("cpu")
    torch.set_num_threads(1)  # a default device does not reach the threads of a pool
    try:
        with torch.device("meta"):
            found = use_everything("cpu")
    finally:
        torch.set_num_threads(before)
    for name, value in expected.items():
        assert found[name].device.type == "cpu" and torch.equal(found[name], value), name


@pytest.mark.filterwarnings("ignore:.*to a meta parameter")  # there are no numbers to load
def test_models_can_be_on_a_device_without_numbers():
    """torch's meta device: every operation of a forward pass and of a step stays where it is."""
    meta = torch.device("meta")
    bridge, trained = M.build("article", device="meta"), M.load_trained(device="meta")
    assert {p.device for m in (bridge, trained) for p in m.parameters()} == {meta}
    zoo = M.load_zoo("article", device=meta)
    assert zoo.device == M.as_zoo(bridge).device == zoo.to("meta").device == meta
    some = T.full_sequences()[::1031]
    for edits in (
        {},
        {"pattern": torch.ones(8, 16)},
        {"z": torch.zeros(4), "post": torch.ones(16)},
    ):
        logits = zoo.edited(edits)(some)
        assert logits.device == meta and logits.shape == (32, 64, 8, T.VOCAB)
    assert R.to_grid(logits).device == M.unembed(logits[..., :4], zoo.weights).device == meta


def test_bad_seeds_are_refused():
    for seeds in ([], [-1]):
        with pytest.raises(ValueError, match="seeds"):
            R.train("article", seeds, max_steps=1)
    with pytest.raises(ValueError, match="each once"):
        R.sweep("article", [1, 1], max_steps=1)
    with pytest.raises(ValueError, match="unknown model"):
        R.train("articel", [0], max_steps=1)
    for orders in ([1], [1, 2, 3], [1, -1]):
        with pytest.raises(ValueError, match="orders .* allowed is one for each, none below 0"):
            R.train("article", [0, 1], max_steps=1, orders=orders)


def test_orders_change_the_batches_and_leave_the_start():
    kind, start = "article", dict(max_steps=0)
    plain, other = (R.train(kind, [3], orders=o, **start)[0].weights for o in (None, [4]))
    assert all(torch.equal(plain[k], other[k]) for k in plain)
    losses = [R.train(kind, [3], max_steps=2, orders=o)[1]["loss"] for o in (None, [3], [4])]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_one_start_with_two_orders_is_swept_and_kept_apart_from_its_own(tmp_path):
    more = dict(max_steps=2, n_jobs=1, folder=tmp_path)
    _, crossed = R.sweep("article", [5, 5], orders=[6, 5], **more)
    _, own = R.sweep("article", [5], **more)
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(crossed["loss"][:, 1], own["loss"][:, 0])
    assert not torch.equal(crossed["loss"][:, 0], own["loss"][:, 0])
    with pytest.raises(ValueError, match="each once"):
        R.sweep("article", [5, 5], orders=[6, 6], **more)


@pytest.mark.slow
def test_sweep_is_train_and_resumes_where_it_stopped(tmp_path, monkeypatch):
    zoo, history = R.sweep("article", [0, 1, 2], max_steps=20, shard=2, folder=tmp_path)
    alone, _ = R.train("article", [2], max_steps=20)
    assert all((zoo.weights[k][2] - alone.weights[k][0]).abs().max() < 1e-6 for k in zoo.weights)
    kept = sorted(tmp_path.glob("*.safetensors"))
    assert len(kept) == 2
    assert len(list(tmp_path.iterdir())) == 2  # no half-written file
    counted = n_right(zoo).tolist()
    assert zoo.info["n_right"] == counted and zoo.info["steps"] == [20, 20, 20]
    assert torch.equal(torch.tensor(zoo.info["by_position"]).double(), by_position(zoo))
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


def test_a_shard_of_another_run_or_an_altered_one_is_not_taken(tmp_path):
    R.sweep("article", [0], max_steps=2, n_jobs=1, folder=tmp_path)
    longer, history = R.sweep("article", [0], max_steps=3, n_jobs=1, folder=tmp_path)
    assert len(history["loss"]) == 3 and len(list(tmp_path.iterdir())) == 2
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut short or altered"):
        R.sweep("article", [0], max_steps=3, n_jobs=1, folder=tmp_path)
