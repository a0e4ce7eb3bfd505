"""The series where it is not at home: other processors, odd folders."""

import pytest

from conftest import NAMES, NBVAL, ROOT, contents, copy_of_the_series, python

pytestmark = pytest.mark.nightly


def passes(series, *names, **env):
    """Each cell of these notebooks of a copy prints what is saved, and nothing is left behind."""
    before = contents(series)
    paths = [series / "notebooks" / f"{name}.ipynb" for name in names]
    done = python(ROOT, *NBVAL, "--rootdir", series, *paths, **env)
    assert done.returncode == 0, done.stdout
    assert contents(series) == before


@pytest.mark.parametrize("env", [dict(OMP_NUM_THREADS="2"), dict(ATEN_CPU_CAPABILITY="default")])
def test_another_processor_prints_the_same(env, tmp_path):
    """With more threads, or without the wide instructions of the one that it was saved on."""
    passes(copy_of_the_series(tmp_path / "series"), *NAMES, **env)


def test_a_path_with_spaces_and_letters_of_all_kinds_and_a_home_that_cannot_be_written(tmp_path):
    home = tmp_path / "home"
    home.touch()  # a file, in which no folder can be made, not even by root
    series = copy_of_the_series(tmp_path / "für später (2) – 変換器 'x'")
    passes(series, NAMES[1], HOME=str(home), USERPROFILE=str(home))
    assert python(series, "tools/build.py", "--check").returncode == 0
