"""helpers.training: the loop of notebook 03, and that a run is the same everywhere."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from helpers import model as M
from helpers import task, training
from helpers.training import RECIPE, train


def plain_loop(seed, steps):
    """The loop as notebook 03 writes it, on a TransformerBridge."""
    train_set, _ = task.split(task.full_sequences())
    model = M.build("article", seed=seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RECIPE.lr, betas=RECIPE.betas, weight_decay=RECIPE.weight_decay
    )
    for step, batch in zip(range(steps), training.batches(train_set, seed)):
        out = model(batch[:, :16])[:, 8:]
        optimizer.zero_grad()
        F.cross_entropy(out.flatten(0, 1), batch[:, 9:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip)
        for p in model.parameters():
            p.grad = training.to_grid(p.grad)
        optimizer.param_groups[0]["lr"] = RECIPE.lr_at(step)
        optimizer.step()
    return M.read_weights(model)


def test_stacked_training_is_the_plain_loop():
    zoo, history = train("article", [4, 5], max_steps=20)
    assert history["loss"].shape == (20, 2) and history["accuracy"].shape == (20, 2, 8)
    for i, seed in enumerate((4, 5)):
        for name, value in plain_loop(seed, 20).items():
            assert (zoo.weights[name][i] - value).abs().max() < 1e-9, (seed, name)


def test_a_model_that_leaves_the_stack_does_not_disturb_the_others():
    eager = dataclasses.replace(RECIPE, patience=1, batch=1)  # a lucky guess ends it
    short = M.Kind(length=2, recipe=eager)
    zoo, history = train(short, [0, 1, 2], max_steps=60)
    assert history["steps"].unique().numel() > 1 and history["stopped"].any()
    for i, seed in enumerate((0, 1, 2)):
        alone, expected = train(short, [seed], max_steps=60)
        assert expected["steps"][0] == history["steps"][i]
        for name, value in alone.weights.items():
            assert (zoo.weights[name][i] - value[0]).abs().max() < 1e-9
        recorded = history["loss"][:, i]
        assert torch.equal(recorded.isnan().nonzero().flatten(),
                           torch.arange(history["steps"][i], len(recorded)))  # fmt: skip


@pytest.mark.nightly
def test_the_stored_model_can_be_trained_again():
    zoo, history = train("article", [0])
    assert history["stopped"].all()
    for name, value in M.read_weights(M.load_trained()).items():
        assert (zoo.weights[name][0] - value).abs().max() < 1e-6, name


def test_gradients_are_rounded_where_they_are_used(monkeypatch):
    given, plain = [], training.to_grid
    monkeypatch.setattr(training, "to_grid", lambda g: given.append((g, plain(g))) or plain(g))
    train("article", [0], max_steps=2)
    assert len(given) == 2 * len(M.shapes("article"))
    assert all(torch.equal(rounded * 2**20, (rounded * 2**20).round()) for _, rounded in given)
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
    training.clip(start, 1.0)
    for one, value in zip(alone, start.values()):
        assert torch.allclose(value.grad[0], one.grad) and value.grad[0].abs().max() < 3
        assert torch.equal(value.grad[1], torch.full_like(value.grad[1], 1e-3))


def test_the_holdout_is_never_trained_on():
    train_set, holdout = task.split(task.full_sequences())
    short = dataclasses.replace(RECIPE, epochs=1)
    seen = torch.cat([task.number(b[:, 1:9]) for b in training.batches(train_set, 0, short)])
    assert len(seen) == len(seen.unique()) == short.max_steps * short.batch
    assert not set(seen.tolist()) & set(task.number(holdout[:, 1:9]).tolist())


def test_the_rate_falls_along_a_cosine_to_zero():
    recipe = dataclasses.replace(RECIPE, lr=0.3, epochs=2)
    assert recipe.max_steps == 2 * (60_000 // 128)
    assert recipe.lr_at(0) == 0.3 and abs(recipe.lr_at(recipe.max_steps)) < 1e-12
    assert recipe.lr_at(recipe.max_steps // 2) == pytest.approx(0.15)


def test_no_step_is_no_step_and_on_step_can_end_a_run():
    zoo, history = train("article", [0, 1], max_steps=0)
    start = M.initial_weights("article", 1)
    assert all(torch.equal(zoo.weights[k][1], start[k]) for k in start)
    assert history["loss"].shape == (0, 2) and history["steps"].tolist() == [0, 0]
    seen = []

    def on_step(step, loss, accuracy):
        seen.append((step, loss.shape, accuracy.shape))
        return step == 2

    _, history = train("article", [0, 1], max_steps=9, on_step=on_step)
    assert seen == [(step, (2,), (2, 8)) for step in range(3)]
    assert history["steps"].tolist() == [3, 3] and not history["stopped"].any()


def test_the_readers_process_is_left_as_it_was():
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state()
    with torch.no_grad():  # a reader may have switched it off
        zoo, _ = train("article", [0], max_steps=1)
        assert not torch.is_grad_enabled()
    after = torch.get_num_threads(), torch.get_default_dtype(), torch.get_rng_state()
    assert before[:2] == after[:2] and torch.equal(before[2], after[2])
    assert not any(w.requires_grad for w in zoo.weights.values())


def test_orders_change_the_batches_and_leave_the_start():
    losses = [train("article", [3], max_steps=2, orders=o)[1]["loss"] for o in (None, [3], [4])]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


@pytest.mark.filterwarnings("ignore:.*to a meta parameter")  # there are no numbers to load
def test_models_stay_on_the_device_that_was_asked_for():
    """torch's meta device: every operation of a forward pass stays where it is."""
    meta = torch.device("meta")
    zoo = M.load_zoo("article", device=meta)
    assert zoo.device == M.as_zoo(M.load_trained(device=meta)).device == meta
    some = task.full_sequences()[::1031]
    for edits in ({}, {"pattern": torch.ones(8, 16)}, {"z": torch.zeros(4)}):
        logits = zoo.edited(edits)(some)
        assert logits.device == meta and logits.shape == (32, 64, 8, task.VOCAB)
