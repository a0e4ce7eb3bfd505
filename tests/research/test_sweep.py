"""research.sweep: shards are `train`, an interrupted sweep goes on, on a cluster too."""

import os
import signal
import subprocess
import sys
import time

import joblib
import pytest
import torch

from helpers.model import Kind, Recipe
from helpers.storage import load
from helpers.training import train
from research import counting, sweep

SMALL = Kind(length=3)  # listed in no time
SEEDS, STEPS = [0, 1, 2, 3], 5


def same(a, b) -> bool:
    """Whether two zoos hold the same seeds and weights, to 1e-6."""
    apart = max((a.weights[k] - b.weights[k]).abs().max() for k in a.weights)
    return a.seeds == b.seeds and apart < 1e-6


def run(seeds=(0, 1, 2), kind=SMALL, max_steps=20, shard=2, n_jobs=1, **more):
    return sweep.sweep(kind, seeds, max_steps=max_steps, shard=shard, n_jobs=n_jobs, **more)


def test_a_sweep_is_train_and_is_evaluated_on_every_input():
    eager = Recipe(patience=1, batch=1)  # a lucky guess ends it
    zoo, history = run(recipe=eager, max_steps=200)
    alone, expected = train(SMALL, [0, 1, 2], eager, max_steps=200)
    assert same(zoo, alone)
    assert history["steps"].unique().numel() == 3  # the shards are of different lengths
    for name, value in expected.items():
        assert torch.allclose(history[name], value, atol=1e-6, equal_nan=True), name
    assert zoo.info["n_right"] == counting.n_right(zoo).tolist()
    assert torch.equal(torch.tensor(zoo.info["by_position"]).double(), counting.by_position(zoo))
    long, _ = run([0], Kind(length=16), max_steps=2)
    assert "n_right" not in long.info and long.info["steps"] == [2]


def test_a_sweep_goes_on_from_the_shards_that_are_there(tmp_path, monkeypatch):
    zoo, history = run(folder=tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert [path.suffix for path in kept] == [".safetensors"] * 2  # no half-written file
    kept[0].unlink()  # as if it had been interrupted in its first shard
    trained = []
    monkeypatch.setattr(sweep, "train", lambda *a, **k: trained.append(a[1]) or train(*a, **k))
    again, again_history = run(folder=tmp_path)
    assert trained == [[0, 1]]  # the other shard was read back
    assert all(torch.equal(zoo.weights[k], again.weights[k]) for k in zoo.weights)
    assert torch.equal(history["loss"], again_history["loss"])


def test_a_shard_of_another_run_is_refused(tmp_path):
    for steps in (2, 3):
        run([0], max_steps=steps, folder=tmp_path)
    one, other = sorted(tmp_path.iterdir())
    one.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="holds another shard: its max_steps is"):
        for steps in (2, 3):
            run([0], max_steps=steps, folder=tmp_path)


@pytest.mark.nightly
def test_two_processes_and_a_dask_cluster_train_the_same_models(tmp_path):
    import distributed  # of the extra `test`: where it is missing, nothing is skipped

    here, here_history = run(SEEDS, "article", STEPS)
    assert same(here, run(SEEDS, "article", STEPS, n_jobs=2)[0])  # on this machine's processors
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            there, there_history = run(SEEDS, "article", STEPS, n_jobs=2)
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2 and sum(done.values()) >= 2  # it was the cluster that trained them
    assert same(here, there) and here.info == there.info
    assert torch.allclose(here_history["loss"], there_history["loss"])


CODE = f"""
import sys
from research.sweep import sweep
sweep("article", {SEEDS}, max_steps={STEPS}, shard=2, n_jobs=1, folder=sys.argv[1])
"""


@pytest.mark.nightly
def test_a_killed_sweep_leaves_no_half_file_and_goes_on(tmp_path, monkeypatch):
    killed = subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)])
    give_up = time.monotonic() + 120
    while not list(tmp_path.glob("*.safetensors")):  # the first shard is there: now
        assert killed.poll() is None and time.monotonic() < give_up, "no shard was written"
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it was quicker than the test"
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    for path in finished:  # whatever is there is whole, and a name with a dot is not looked at
        assert load(path)[1]["seeds"] in (SEEDS[:2], SEEDS[2:])
    trained = []
    monkeypatch.setattr(sweep, "train", lambda *a, **k: trained.append(a[1]) or train(*a, **k))
    zoo, _ = run(SEEDS, "article", STEPS, folder=tmp_path)
    assert len(trained) == 2 - len(finished)
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    assert same(zoo, run(SEEDS, "article", STEPS)[0])
