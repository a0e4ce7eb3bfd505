"""Sweeps on a Dask cluster, and sweeps that are killed: the same weights, and no half file."""

import os
import signal
import subprocess
import sys
import time

import joblib
import pytest
import torch

from helpers import training as R
from helpers.storage import load

SEEDS, STEPS = [0, 1, 2, 3], 5


def same(a, b) -> bool:
    """Whether two zoos hold the same seeds and weights, to 1e-6."""
    apart = max((a.weights[k] - b.weights[k]).abs().max() for k in a.weights)
    return a.seeds == b.seeds and apart < 1e-6


@pytest.mark.slow
def test_a_dask_cluster_trains_the_same_models(tmp_path):
    import distributed  # of the extra `test`: where it is missing, nothing is skipped

    here, here_history = R.sweep("article", SEEDS, max_steps=STEPS, shard=2, n_jobs=1)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster) as client:
        with joblib.parallel_config(backend="dask"):
            there, there_history = R.sweep("article", SEEDS, max_steps=STEPS, shard=2)
        done = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert len(done) == 2 and sum(done.values()) >= 2  # it was the cluster that trained them
    assert same(here, there)
    assert torch.allclose(here_history["loss"], there_history["loss"])
    assert here.info == there.info


CODE = f"""
import sys
from helpers import training as R
R.sweep("article", {SEEDS}, max_steps={STEPS}, shard=2, n_jobs=1, folder=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_sweep_leaves_no_half_file_and_goes_on(tmp_path, monkeypatch):
    run = subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path)], stderr=subprocess.PIPE)
    give_up = time.monotonic() + 120
    while not list(tmp_path.glob("*.safetensors")):  # the first shard is there: now
        assert run.poll() is None and time.monotonic() < give_up, "no shard was written"
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL, "it was quicker than the test"

    finished = sorted(tmp_path.glob("*.safetensors"))
    for path in finished:  # whatever is there is whole, and a name with a dot is not looked at
        tensors, note = load(path)
        assert note["seeds"] in (SEEDS[:2], SEEDS[2:]) and len(tensors["history/steps"]) == 2

    before = {path: path.stat().st_mtime_ns for path in finished}
    trained, real = [], R.train
    monkeypatch.setattr(R, "train", lambda *a, **k: trained.append(a[1]) or real(*a, **k))
    zoo, _ = R.sweep("article", SEEDS, max_steps=STEPS, shard=2, n_jobs=1, folder=tmp_path)
    assert len(trained) == 2 - len(finished)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
    monkeypatch.undo()
    afresh, _ = R.sweep("article", SEEDS, max_steps=STEPS, shard=2, n_jobs=1)
    assert same(zoo, afresh)
