"""tools/mutants.py: the fast mutants are noticed; one that survives, or is out of date, is said."""

import ast
import re
import shutil

import pytest

from conftest import ALL_NAMES, ROOT, read
from tools import mutants as M

FAST = [mutant for mutant in M.MUTANTS if mutant.fast]
QUICK = "tests/test_page.py::test_k_of_n_refuses_what_is_no_count"


@pytest.fixture(scope="module")
def rows():
    """What came of the fast ones, by name."""
    return {row.mutant.name: row for row in M.judge(FAST, jobs=2)}


@pytest.mark.slow
@pytest.mark.parametrize("name", [mutant.name for mutant in FAST])
def test_it_would_be_noticed(name, rows):
    assert rows[name].verdict == "killed", rows[name].said


def test_the_table_is_whole():
    assert len({mutant.name for mutant in M.MUTANTS}) == len(M.MUTANTS) >= 30
    assert len(FAST) >= 10
    for test in {mutant.test for mutant in M.MUTANTS}:
        file, _, name = re.sub(r"\[.*", "", test).partition("::")
        if name:
            defined = ast.parse(read(ROOT / file)).body
            assert name in {n.name for n in defined if isinstance(n, ast.FunctionDef)}, test
        else:  # the cells of a notebook
            assert file in {f"notebooks/{name}.ipynb" for name in ALL_NAMES}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", M.MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_still_changes_something(mutant, tmp_path):
    mutant.make(M.whole_copy(tmp_path))
    assert ": " in mutant.what and "|" not in mutant.what  # it is a cell of a table


@pytest.mark.parametrize(
    "edit, said",
    [
        (("README.md", "no such words", ""), "holds 0 times 'no such words'; allowed is 1"),
        (("README.md", "seed", "need"), r"holds \d+ times 'seed'; allowed is 1"),
        (("README.md", "## Start", "## Start"), "nothing is changed"),
    ],
)
def test_a_mutant_that_is_out_of_date_is_refused(edit, said, tmp_path):
    with pytest.raises(ValueError, match=f"old: .*{said}"):
        M.Mutant("old", QUICK, (edit,)).make(M.whole_copy(tmp_path))


@pytest.mark.slow
def test_what_survives_or_cannot_be_judged_is_printed_and_fails(monkeypatch, capsys):
    edit = ("README.md", "## Start", "## Begin")
    table = [
        M.Mutant("harmless", QUICK, (edit,)),
        M.Mutant("without-a-test", "tests/test_page.py::test_nothing", (edit,)),
        M.Mutant("broken", QUICK, (("tests/test_page.py", "import ast\n", "import\n"),)),
        M.Mutant("out-of-date", QUICK, (("README.md", "no such words", ""),)),
    ]
    monkeypatch.setattr(M, "MUTANTS", table)
    assert M.main([]) == 1
    said = capsys.readouterr().out
    for name, verdict in (
        ("harmless", "SURVIVED"), ("without-a-test", "NO CONTROL: 4"),
        ("broken", "NOT JUDGED: [24]"),
        ("out-of-date", "NOT JUDGED: ValueError: out-of-date: README"),
    ):  # fmt: skip
        assert re.search(rf"^\| {name} \|.* {verdict}.* \| \d+ \|$", said, re.M), said
    assert "0 of 4 killed; 2 controls;" in said


@pytest.mark.slow
def test_a_copy_is_tested_with_its_own_helpers(tmp_path):
    copy = M.whole_copy(tmp_path)
    shutil.rmtree(copy / "helpers")  # others are installed, or none are
    done = M.run_test(copy, QUICK)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the helpers of this copy are not found" in done.stdout


def test_shards_take_each_mutant_once(monkeypatch):
    taken = []
    monkeypatch.setattr(M, "judge", lambda chosen, *_: taken.append(chosen) or [])
    for k in (1, 2, 3):
        assert M.main(["--shard", f"{k}/3"]) == 0
    assert sorted(m.name for t in taken for m in t) == sorted(m.name for m in M.MUTANTS)
    assert M.main(["--only", "no-mask", "weights-cut"]) == 0 and len(taken[-1]) == 2
    assert M.main(["--fast"]) == 0 and taken[-1] == FAST


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "1", "a/b"])
def test_a_shard_that_is_none_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        M.main(["--shard", wrong])
    assert f"got '{wrong}'; allowed are 1/N to N/N" in capsys.readouterr().err
