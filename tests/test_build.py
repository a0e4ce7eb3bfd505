"""tools/build.py: what it makes, that it destroys nothing, and that it notices what differs."""

import importlib.util
import os

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from conftest import copy_of_the_series
from tools import build

SOURCE = """# %% [markdown] tags=["badge"]
# here a badge

# %% tags=["setup"]
pass

# %%
import plotly.graph_objects as go
from helpers import plotting as P

# %%
P.show(go.Figure(go.Bar(y=[1, 2])), says="Two bars, one of them twice as high.")

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
        cell("code", "y", "7"),
    ]
    build.take_over(new, old, "01")
    ids = [c.id for c in new]
    assert [i for i in ids if not i.startswith("01-")] == ids[1:5] == ["a", "b", "c", "d"]
    assert len(set(ids)) == 7
    assert (new[2].outputs, new[2].execution_count) == (out, 1)
    assert (new[3].outputs, new[3].execution_count) == ([], None)  # edited: not what it prints
    again = [cell(c.cell_type, c.source, "z") for c in new]
    build.take_over(again, new, "01")
    assert [c.id for c in again] == ids


def test_the_set_up_cell_stays_executed_when_the_build_changes_it():
    old, new, other = (cell("code", source, source, execution_count=1) for source in "abc")
    for some in (old, new):
        some.metadata["tags"] = ["setup"]
    new.execution_count = other.execution_count = None
    build.take_over([new], [old], "01")
    build.take_over([other], [old], "01")
    assert (new.execution_count, other.execution_count) == (1, None)


def test_badges_go_into_the_table_of_readme_and_out_of_it():
    plain = (
        "| 1 | [a](notebooks/01_a.ipynb) | see | 30 | |\n"
        "| + | [b/c](notebooks/b/c.ipynb) | go | 5 | |\n"
        "| 2 | [a](notebooks/02_a.ipynb) | no cell for it | 30 |\n"
        "[a](notebooks/01_a.ipynb)\n"
    )
    set_, unset = "https://github.com/some/series", f"https://github.com/{build.PLACEHOLDER}/series"
    badges = [f" {build.badge(name, set_)} |\n" for name in ("01_a", "b/c")]
    with_badges = plain.replace(" |\n", badges[0], 1)
    with_badges = with_badges.replace("5 | |\n", "5 |" + badges[1])
    assert build.stamp_readme(plain, set_) == build.stamp_readme(with_badges, set_) == with_badges
    assert build.stamp_readme(with_badges, unset) == build.stamp_readme(plain, unset) == plain
    moved = build.stamp_readme(with_badges, set_.replace("some", "other"))
    assert moved == with_badges.replace("/some/", "/other/")


def test_an_unchanged_figure_keeps_its_picture():
    def page(*sources, **more):
        data = [{build.PLOTLY: {"data": [s], "layout": {}}, **more} for s in sources]
        outputs = [nbformat.v4.new_output("display_data", data=d) for d in data]
        return nbformat.v4.new_notebook(cells=[cell("code", "", "a", outputs=outputs)])

    new = page("same", "other")
    build.add_pngs(new, page("same", "gone", **{"image/png": "old"}), None)
    assert [o.data.get("image/png") for o in new.cells[0].outputs] == ["old", None]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """tools/build.py of a copy of the series with two more notebooks: 07_more and beyond/deep."""
    copy = copy_of_the_series(tmp_path_factory.mktemp("build") / "series")
    (copy / "notebooks" / "beyond").mkdir(exist_ok=True)
    for name in ("07_more", "beyond/deep"):
        (copy / "notebooks" / f"{name}.py").write_text(SOURCE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("build_there", copy / "tools" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.ROOT == copy
    return module


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PLOTLY_RENDERER", "")  # the build sets it, for its own kernels


def contents(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


@pytest.mark.slow
def test_a_notebook_from_nothing_to_done(there, tmp_path, monkeypatch, capsys):
    """Built without a browser, edited, made from its source, checked; at last it is as built."""
    names = ("07_more", "beyond/deep")
    with monkeypatch.context() as nothing:
        nothing.setenv("PATH", str(tmp_path))
        nothing.setenv("BROWSER_PATH", "")
        assert there.main([*names]) == 0
    said = capsys.readouterr().err
    assert "no Chromium" in said and "without PNG" in said
    for name, above in zip(names, ('".."', '"..", "../.."')):
        badge, setup, _, figure, line = there.saved(name).cells
        assert badge.source == build.badge(name)
        assert setup.source == build.setup(name) and f"sys.path[:0] = [{above}" in setup.source
        assert setup.metadata == {"tags": ["setup"], **build.FOLDED}
        assert there.SOURCES[name].read_text(encoding="utf-8") == SOURCE.replace(
            "here a badge", badge.source
        ).replace("pass", setup.source)
        ((drawn, _),) = there.figures(there.saved(name))
        assert drawn.data["text/plain"] == "Two bars, one of them twice as high."
        assert "image/png" not in drawn.data and line.outputs[0].text == "a first line\n"

    name = "07_more"
    source = there.SOURCES[name]
    text = source.read_text(encoding="utf-8").replace("# %%\nprint", "# %%\n1 + 1\n\n# %%\nprint")
    source.write_text(text, encoding="utf-8")
    before, old = contents(there.ROOT), there.saved(name)
    assert there.main(["--check", name]) == 1 and contents(there.ROOT) == before
    assert f"{name}: the .ipynb is not what the .py makes" in capsys.readouterr().out
    assert there.main(["--sources", name]) == 0
    new = there.saved(name)
    assert [c.id for c in new.cells if c.source != "1 + 1"] == [c.id for c in old.cells]
    assert new.cells[-1].outputs == old.cells[-1].outputs != []
    assert there.drift(name) == [f"notebooks/{name}: a cell was not executed since it was changed"]
    there.make(name, run=True)
    assert there.drift(name) == []
    assert [c.id for c in there.saved(name).cells] == [c.id for c in new.cells]


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_notebook_as_it_was(there):
    source, page = there.SOURCES["beyond/deep"], there.target("beyond/deep")
    page.write_text(nbformat.writes(nbformat.v4.new_notebook()), encoding="utf-8")
    before, text = contents(there.ROOT), source.read_text(encoding="utf-8")
    source.write_text(f"{text}\n# %%\nassert False, 'a wrong claim'\n", encoding="utf-8")
    with pytest.raises(CellExecutionError, match="a wrong claim"):
        there.make("beyond/deep", run=True)
    source.write_text(text, encoding="utf-8")
    after = contents(there.ROOT)
    assert after.keys() == before.keys() and after[page] == before[page]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    build.write(path, "whole\n")
    when = path.stat().st_mtime_ns
    build.write(path, "whole\n")
    assert path.stat().st_mtime_ns == when

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        build.write(path, "half")
    assert path.read_text() == "whole\n" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "file, old, new, said",
    [
        ("README.md", "## Start", "[![Open in Colab](a)](b)", "a badge is missing, or does not"),
        ("README.md", "| 30 |", "| 30 | [![Open in Colab](a)](b) |", "a badge is missing, or"),
        ("README.md", "helpers/drawings/line.svg", "a.svg", "a.svg is no file of helpers"),
        ("helpers/drawings/line.svg", "</svg>", "<g/></svg>", "no notebook shows"),
        ("notebooks/06_ablation.py", "# # 6", "# # 7", "06_ablation: the .ipynb is not what"),
        ("notebooks/06_ablation.py", "nothing.", "little.", "06_ablation: its set-up cell"),
        ("notebooks/06_ablation.py", "import torch", f"import torch  #{90 * '-'}", "columns"),
        ("notebooks/06_ablation.ipynb", '"execution_count": 2,', '"execution_count": null,',
         "06_ablation: a cell was not executed"),
    ],
)
def test_check_notices(there, file, old, new, said, capsys):
    path = there.ROOT / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    try:
        assert there.main(["--check", "06_ablation"]) == 1
    finally:
        path.write_text(text, encoding="utf-8")
    assert said in capsys.readouterr().out


def test_unknown_names_are_refused(there, capsys):
    with pytest.raises(SystemExit, match="2"):
        there.main(["08_nothing"])
    assert "no notebook '08_nothing'; there are 01_dataset" in capsys.readouterr().err
