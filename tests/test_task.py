"""helpers.task: the rule, the sequences, the split."""

import pytest
import torch

from conftest import ROOT, python
from helpers import task, training
from helpers.evaluation import n_right
from helpers.model import Kind


def test_a_worked_example():
    x = [0, 1, 2, 3, 2, 0, 3, 1]
    assert task.targets(x).tolist() == [2, 0, 1, 3, 0, 3, 2, 1]
    assert task.full_sequences(x).tolist() == [[4, *x, 2, 0, 1, 3, 0, 3, 2, 1]]
    assert torch.equal(task.full_sequences([x, x]), task.full_sequences(x).expand(2, -1))


@pytest.mark.parametrize("name", task.TASKS)
def test_targets_follow_the_formula_one_token_at_a_time(name):
    for x in task.all_inputs()[::4099].tolist():
        if name == "reverse_plus_one":
            wanted = [(x[7 - i] + 1) % 4 for i in range(8)]
        else:
            wanted = [(x[7 - i] + x[(6 - i) % 8]) % 4 for i in range(8)]
        assert task.targets(x, name).tolist() == wanted


RULES = [  # and what is said of them
    (lambda x: None, "NoneType; allowed: a tensor like the one that it is given, torch.int64"),
    (lambda x: x[:, 1:], "torch.int64 .2, 7.; allowed: a tensor like the one"),
    (lambda x: x / 2, "torch.float32 .2, 8.; allowed: a tensor like the one"),
    (lambda x: x + 1, r"\[1, 2, 3, 4, .* of \[0, 1, 2, 3, .*; allowed: digits from 0 to 3"),
    (lambda x: torch.randint(4, x.shape), ".* once, and .* another time; allowed: of the same"),
    (lambda x: (x + x.sum(0)) % 4, ".* once, and .* another time; allowed: of the same"),
]


@pytest.mark.parametrize("rule, said", RULES)
def test_what_is_no_rule_is_refused_before_anything_is_trained(rule, said):
    with pytest.raises(ValueError, match=f"the rule makes {said}"):
        training.train(Kind(task=rule), [0], max_steps=0)


def test_a_rule_of_your_own_is_a_task_and_leaves_its_inputs_as_they_are():
    def rule(x):
        x += 2  # what it is given is its own
        return x % 4

    assert task.targets([1, 2], lambda x: x > 1).tolist() == [0, 1]  # of truth values, too
    zoo, _ = training.train(Kind(task=rule), [0], max_steps=1)
    wanted = torch.cat([task.full_sequences()[:, :9], (task.all_inputs() + 2) % 4], 1)
    assert torch.equal(task.full_sequences(task=rule), wanted)
    assert torch.equal(n_right(zoo), n_right(zoo, wanted))


def test_all_sequences_are_there_once_and_numbered_in_order():
    sequences = task.full_sequences()
    assert sequences.shape == (65_536, 17)
    assert len(sequences.unique(dim=0)) == 65_536
    assert torch.equal(task.number(sequences[:, 1:9]), torch.arange(65_536))
    assert task.all_inputs(3).shape == (64, 3)
    with pytest.raises(ValueError, match="a number of digits to list 16; allowed .* from 1 to 10"):
        task.all_inputs(16)


def test_the_split_is_a_shuffled_partition_that_torchs_seed_does_not_change():
    sequences = task.full_sequences()
    torch.manual_seed(1)
    train, holdout = task.split(sequences)
    torch.manual_seed(2)
    assert torch.equal(holdout, task.split(sequences)[1])
    assert (len(train), len(holdout)) == (60_000, 5_536)
    assert len(torch.cat([train, holdout]).unique(dim=0)) == 65_536
    assert holdout[:, 1].unique().tolist() == [0, 1, 2, 3]
    assert not torch.equal(holdout, task.split(sequences, seed=1)[1])
    with pytest.raises(ValueError, match="10 sequences; the split is of all"):
        task.split(sequences[:10])


IMPORTS = """import sys, helpers
assert not {'torch', 'numpy', 'plotly'} & set(sys.modules)
from lessons import lesson_01, lesson_06
lesson_01.explore_task()
lesson_01.check('01-targets', max)
assert 'transformer_lens' not in sys.modules"""


def test_import_helpers_is_light_and_explorers_and_exercises_open_without_the_library():
    done = python(ROOT, "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
