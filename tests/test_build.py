"""tools/build.py: what it makes, that it destroys nothing, and that it notices what differs."""

import importlib.util
import re
import shutil

import jupytext
import nbformat
import pytest
from jupytext.cli import jupytext as jupytext_cli
from nbclient.exceptions import CellExecutionError

from conftest import ROOT, contents, copy_of_the_series, python, read
from tools import build

SOURCE = """# %% [markdown] tags=["badge"]
# here a badge

# %% tags=["setup"]
pass

# %%
print("a first line")
"""


def cell(kind, source, name, **outputs):
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, id=name, **outputs)


def test_cells_keep_ids_and_outputs_through_insertions_and_edits():
    out = [nbformat.v4.new_output("stream", text="3\n")]
    old = [
        cell("markdown", "# Title", "a"),
        cell("code", "x = 1", "b", outputs=out, execution_count=1),
        cell("code", "x + 2", "c", outputs=out, execution_count=2),
        cell("markdown", "The end", "d"),
    ]
    new = [
        cell("markdown", "# Title", "1"),
        cell("markdown", "# Title", "2"),  # twice the same: still each its own id
        cell("code", "x = 1", "3"),
        cell("code", "x + 3", "4"),
        cell("markdown", "The end", "5"),
        cell("code", "y", "6"),
    ]
    build.take_over(new, old, "01")
    ids = [c.id for c in new]
    assert [i for i in ids if not i.startswith("01-")] == ids[1:5] == ["a", "b", "c", "d"]
    assert len(set(ids)) == 6
    assert (new[2].outputs, new[2].execution_count) == (out, 1)
    assert (new[3].outputs, new[3].execution_count) == ([], None)  # edited: not what it prints
    again = [cell(c.cell_type, c.source, "z") for c in new]
    build.take_over(again, new, "01")
    assert [c.id for c in again] == ids


def test_minutes_and_badges_go_into_the_table_of_readme_and_badges_out_of_it():
    names = ("01_dataset", "beyond/more")
    needed = [build.minutes(jupytext.read(build.SOURCES[name]).cells) for name in names]
    rows = [f"| 1 | [a](notebooks/{name}.ipynb) | see |" for name in names]
    other = "| 2 | [a](notebooks/02_transformer.ipynb) | no cell for it | 30 |\n[a](README.md)\n"
    plain = "".join(f"{row} {n} | |\n" for row, n in zip(rows, needed)) + other
    set_, unset = "https://github.com/some/series", ""
    badges = [build.badge(name, set_) for name in names]
    with_badges = [f"{row} {n} | {b} |\n" for row, n, b in zip(rows, needed, badges)]
    with_badges = "".join(with_badges) + other
    wrong = plain.replace(f" {needed[0]} |", " 7 |")
    assert build.stamp_readme(wrong, set_) == build.stamp_readme(with_badges, set_) == with_badges
    assert build.stamp_readme(with_badges, unset) == build.stamp_readme(plain, unset) == plain


def test_an_unchanged_figure_keeps_its_picture():
    def page(*sources, picture):
        data = [{build.PLOTLY: {"data": [s], "layout": {}}, "image/png": picture} for s in sources]
        outputs = [nbformat.v4.new_output("display_data", data=d) for d in data]
        return nbformat.v4.new_notebook(cells=[cell("code", "", "a", outputs=outputs)])

    new = page("same", "other", picture="new")
    build.keep_pictures(new, page("same", "gone", picture="old"))
    assert [o.data["image/png"] for o in new.cells[0].outputs] == ["old", "new"]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """tools/build.py of a copy of the series with one more notebook, beyond/tiny, built."""
    copy = copy_of_the_series(tmp_path_factory.mktemp("build") / "series")
    (copy / "notebooks" / "beyond" / "tiny.py").write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("build_there", copy / "tools" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.ROOT == copy
    module.make("beyond/tiny", run=True)
    return module


def test_a_source_becomes_a_notebook_with_badge_set_up_cell_and_outputs(there):
    badge, setup, line = there.saved("beyond/tiny").cells
    assert badge.source == build.badge("beyond/tiny")
    assert setup.source == build.setup("beyond/tiny") and "notebooks/beyond" in setup.source
    assert setup.metadata == {"tags": ["setup"], **build.FOLDED}
    assert line.outputs[0].text == "a first line\n"
    about = there.saved("beyond/tiny").metadata.language_info
    assert about == build.LANGUAGE and about.file_extension == ".py" and "version" not in about
    stamped = SOURCE.replace("here a badge", badge.source).replace("pass", setup.source)
    assert read(there.SOURCES["beyond/tiny"]) == stamped
    assert there.drift("beyond/tiny") == []


@pytest.mark.parametrize(
    "suffix, old, new, said",
    [
        (".py", "a first", "a second", "beyond/tiny: the .ipynb is not what the .py makes"),
        (".py", "find_spec", "find", "beyond/tiny: its set-up cell"),
        (".py", "print(", f"print({80 * ' '}", "columns"),
        (".ipynb", '"execution_count": 2,', '"execution_count": null,', "was not executed"),
    ],
)
def test_check_notices_and_changes_nothing(there, suffix, old, new, said, capsys):
    path = there.ROOT / "notebooks" / "beyond" / f"tiny{suffix}"
    text = read(path)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    before = contents(there.ROOT)
    assert there.main(["--check", "beyond/tiny"]) == 1 and said in capsys.readouterr().out
    assert contents(there.ROOT) == before
    path.write_text(text, encoding="utf-8")


def test_an_edit_of_a_notebook_is_kept_until_it_is_taken_over_or_dropped(there, capsys):
    """By the command that the refusal names; on the command line notebook and source are a pair."""
    source, page = there.SOURCES["beyond/tiny"], there.target("beyond/tiny")
    text, built = read(source), read(page)
    taken = text.replace("a first line", "an answer")
    page.write_text(built.replace("a first line", "an answer"), encoding="utf-8")
    source.write_text(text.replace("a first line", "an edit of both"), encoding="utf-8")
    before = contents(there.ROOT)
    with pytest.raises(SystemExit, match="nothing written") as refused:
        there.main(["--sources", "beyond/tiny"])
    assert contents(there.ROOT) == before
    jupytext_cli(re.search(r"-m jupytext (.*)", str(refused.value))[1].split())
    assert there.main(["--sources", "beyond/tiny"]) == 0
    assert read(source) == taken and "an answer" in read(page)
    page.write_text(read(page).replace("an answer", "a slip"), encoding="utf-8")
    with pytest.raises(SystemExit, match="--drop"):
        there.main(["--sources", "beyond/tiny"])
    assert there.main(["--sources", "beyond/tiny", "--drop"]) == 0
    assert read(source) == taken and "a slip" not in there.saved("beyond/tiny").cells[-1].source
    capsys.readouterr()
    jupytext_cli(["--paired-paths", str(page)])
    assert capsys.readouterr().out.split() == [str(source)]
    source.write_text(text, encoding="utf-8")
    page.write_text(built, encoding="utf-8")


def test_a_notebook_whose_package_is_not_here_is_not_run(there, monkeypatch, capsys):
    monkeypatch.setitem(there.NEEDS, "beyond/tiny", "no_such_package")
    before = read(there.target("beyond/tiny"))
    there.make("beyond/tiny", run=True)
    assert "there is no no_such_package here" in capsys.readouterr().err
    assert read(there.target("beyond/tiny")) == before


def test_a_cell_that_fails_leaves_the_notebook_as_it_was(there):
    source, page = there.SOURCES["beyond/tiny"], there.target("beyond/tiny")
    text, before = read(source), read(page)
    source.write_text(f"{text}\n# %%\nassert False, 'a wrong claim'\n", encoding="utf-8")
    with pytest.raises(CellExecutionError, match="a wrong claim"):
        there.make("beyond/tiny", run=True)
    source.write_text(text, encoding="utf-8")
    assert read(page) == before


def test_unknown_and_taken_names_are_refused(there, capsys):
    with pytest.raises(SystemExit, match="2"):
        there.main(["08_nothing"])
    assert "no notebook '08_nothing'; there are 01_dataset" in capsys.readouterr().err
    for name in ("06_ablation", "eight", "../07_out"):
        with pytest.raises(SystemExit, match=f"got '{name}'; allowed are NN_name and beyond/name"):
            there.main(["--new", name])


@pytest.mark.nightly
def test_a_new_notebook_is_found_by_the_build_and_passes_all_tests_of_notebooks(tmp_path):
    copy = copy_of_the_series(tmp_path / "series")
    shutil.copytree(ROOT / "tests", copy / "tests")
    shutil.copy(ROOT / "conftest.py", copy)
    for name in ("07_more", "beyond/deep"):
        done = python(copy, "tools/build.py", "--new", name)
        assert done.returncode == 0, done.stderr
        assert f"[{name}](notebooks/{name}.ipynb)" in read(copy / "README.md")
    assert python(copy, "tools/build.py", "--check").returncode == 0
    done = python(copy, "-m", "pytest", "-n0", "-m", "not reader", "-k", "07_more or deep")
    assert done.returncode == 0, done.stdout
