"""helpers.task: the rule, the sequences, the split, and what bad input gets."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers import task as T


def test_worked_example_and_batches_agree():
    x = [0, 1, 2, 3, 2, 0, 3, 1]
    assert T.targets(x).tolist() == [2, 0, 1, 3, 0, 3, 2, 1]
    assert T.targets([x, x]).tolist() == [T.targets(x).tolist()] * 2
    assert T.targets(np.array(x)).tolist() == T.targets(x).tolist()


@pytest.mark.parametrize("task", T.TASKS)
def test_targets_follow_the_formula_one_token_at_a_time(task):
    for x in T.all_inputs()[::4099].tolist():
        if task == "reverse_plus_one":
            wanted = [(x[7 - i] + 1) % 4 for i in range(8)]
        else:
            wanted = [(x[7 - i] + x[(6 - i) % 8]) % 4 for i in range(8)]
        assert T.targets(x, task).tolist() == wanted


def test_all_sequences_are_there_once_and_in_order():
    sequences = T.full_sequences()
    assert sequences.shape == (65_536, 17)
    assert len(sequences.unique(dim=0)) == 65_536
    assert (sequences[:, 0] == T.BOS).all()
    assert sequences[1, 1:9].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_split_is_a_shuffled_partition_and_does_not_depend_on_torchs_seed():
    sequences = T.full_sequences()
    torch.manual_seed(1)
    train, holdout = T.split(sequences)
    torch.manual_seed(2)
    assert torch.equal(holdout, T.split(sequences)[1])
    assert (len(train), len(holdout)) == (60_000, 5_536)
    assert len(torch.cat([train, holdout]).unique(dim=0)) == 65_536
    assert holdout[:, 1].unique().tolist() == [0, 1, 2, 3]
    assert not torch.equal(holdout, T.split(sequences, seed=1)[1])
    with pytest.raises(ValueError, match="10 sequences"):
        T.split(sequences[:10])


GOOD = [0, 1, 2, 3, 0, 1, 2, 3]
BAD = {
    "too large": ([0, 1, 2, 4, 0, 1, 2, 3], "position 3 holds 4"),
    "negative": ([0, 1, 2, -1, 0, 1, 2, 3], "position 3 holds -1"),
    "huge": ([0, 1, 2, 10**30, 0, 1, 2, 3], "position 3 holds 1000"),
    "float": ([0, 1, 2.5, 3, 0, 1, 2, 3], "position 2 holds 2.5"),
    "whole float": ([0, 1, 2.0, 3, 0, 1, 2, 3], "position 2 holds 2.0"),
    "bool": ([0, True, 2, 3, 0, 1, 2, 3], "position 1 holds True"),
    "string": ([0, "1", 2, 3, 0, 1, 2, 3], "position 1 holds '1'"),
    "none": ([0, None, 2, 3, 0, 1, 2, 3], "position 1 holds None"),
    "short": ([0, 1], "got 2 tokens"),
    "long": ([0] * 9, "got 9 tokens"),
    "empty": ([], "got 0 tokens"),
    "empty row": ([[]], "sequence 0: got 0 tokens"),
    "ragged": ([GOOD, [0, 1]], "sequence 1: got 2 tokens"),
    "mixed": ([GOOD, 3], r"position 0 holds \[0"),
    "text": ("01230123", "'01230123'"),
    "number": (5, "got 5"),
    "float tensor": (torch.tensor([0.0] * 8), "position 0 holds 0.0"),
    "bool tensor": (torch.tensor([True] * 8), "position 0 holds True"),
    "scalar tensor": (torch.tensor(3), "single value"),
    "short tensor": (torch.zeros(2, 7, dtype=torch.long), "7 tokens"),
    "empty tensor": (torch.zeros(0, 8, dtype=torch.long), r"\(0, 8\)"),
    "bad tensor": (
        torch.tensor([GOOD, [0, 9, 0, 0, 0, 0, 0, 0]]),
        "sequence 1: position 1 holds 9",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_with_what_is_allowed(name):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        T.check_tokens(value)
    assert "allowed are 8 whole numbers from 0 to 3" in str(error.value)


def test_good_input_is_not_changed():
    given = torch.tensor(GOOD, dtype=torch.int32)
    assert T.check_tokens(given).dtype == torch.int64
    assert given.dtype == torch.int32 and given.tolist() == GOOD


def test_unknown_task_names_the_tasks():
    with pytest.raises(ValueError, match="reverse_plus_one, sum_pairs"):
        T.targets(GOOD, "sort")


def test_text_is_read_as_tokens():
    for text in ("01230123", "0 1 2 3 0 1 2 3", "0,1, 2\n3 0 1 2 3", " 01230123 "):
        assert T.read_tokens(text) == GOOD
    assert T.read_tokens(GOOD) == T.read_tokens(torch.tensor(GOOD)) == GOOD
    for bad, message in (
        ("0123012x", "position 7 holds 'x'"),
        ("0 1 2 3 0 1 2 4", "position 7 holds 4"),
        ("0 1 2 3 0 1 2 -1", "position 7 holds -1"),
        ("0 1 2 3 0 1 2 1.5", "position 7 holds '1.5'"),
        ("012", "got 3 tokens"),
        ("", "got 0 tokens"),
        ("٣1230123", "position 0 holds"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            T.read_tokens(bad)
        assert "allowed are 8 whole numbers from 0 to 3" in str(error.value)


@pytest.mark.parametrize("length", [1, 3, 16])
@pytest.mark.parametrize("task", T.TASKS)
def test_length_is_a_parameter(task, length):
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (50, length)))
    sequences = T.full_sequences(x, task, length)
    assert sequences.shape == (50, 2 * length + 1) and (sequences[:, 0] == T.BOS).all()
    assert torch.equal(sequences[:, 1 : length + 1], x)
    for i in range(length):
        digits = x[:, list(T.SOURCES[task](i, length))].sum(1)
        wanted = (digits + (task == "reverse_plus_one")) % 4
        assert torch.equal(sequences[:, length + 1 + i], wanted)
    with pytest.raises(ValueError, match=f"allowed are {length} whole numbers"):
        T.targets([0] * (length + 1), task, length)


def test_all_inputs_are_numbered_in_their_order():
    for length in (1, 3, 8):
        assert torch.equal(T.number(T.all_inputs(length)), torch.arange(4**length))
    for length in (0, 11):
        with pytest.raises(ValueError, match=f"got {length} digits; inputs of 1 to 10 digits"):
            T.all_inputs(length)


def test_import_is_light():
    """`import helpers` loads nothing heavy; only building a bridge loads TransformerLens."""
    code = (
        "import sys, helpers\n"
        "assert not {'torch', 'numpy', 'transformer_lens'} & set(sys.modules)\n"
        "import helpers.task, helpers.plotting, helpers.reader.claims, helpers.interventions\n"
        "import helpers.training, helpers.storage\n"
        "assert 'transformer_lens' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
