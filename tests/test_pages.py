"""What is read without a kernel: the links, the saved figures, the one address, the two lists.

Nothing here needs a network. That the notebooks run is checked elsewhere.
"""

import functools
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NAMES = ["01_dataset", "02_transformer", "03_training", "04_attention", "05_mlp", "06_ablation"]
PLOTLY = "application/vnd.plotly.v1+json"
sys.path.insert(0, str(FOLDER))
import build  # noqa: E402


def read(path):
    return path.read_text(encoding="utf-8")


@functools.cache
def notebook(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def project_of(folder):
    return tomllib.loads(read(folder / "pyproject.toml"))["project"]


# ---------------------------------------------------------------- what has to be installed


def test_every_requirement_has_a_name_and_a_range_and_stands_once():
    lines = [x for x in read(ROOT / "requirements.txt").splitlines() if x and x[0] != "#"]
    wanted = [Requirement(line) for line in lines]
    assert all(r.specifier and not r.url for r in wanted)
    names = [r.name.lower().replace("_", "-") for r in wanted]
    assert len(set(names)) == len(names)


def test_conda_takes_its_packages_from_requirements():
    environment = yaml.safe_load(read(ROOT / "environment.yml"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["name"] == project_of(ROOT)["name"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    (rest,) = [d for d in environment["dependencies"] if not isinstance(d, str)]
    specs = {MatchSpec(d).name.normalized: MatchSpec(d) for d in plain}
    assert set(specs) == {"python", "pip"}, "every other package belongs in requirements.txt"
    assert str(specs["python"].version) == project_of(ROOT)["requires-python"]
    assert rest == {"pip": ["-r requirements.txt"]}  # conda reads it beside environment.yml


# ---------------------------------------------------------------- links


def markdown_of(page):
    """The text of README or of a notebook, without code: there [a](b) is no link."""
    if page.suffix == ".md":
        text = read(page)
    else:
        cells = nbformat.read(page, as_version=4).cells
        text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def links_of(text):
    """Targets of [text](target), ![alt](target), <a href>, <img src> and bare addresses."""
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)", text)
    targets += re.findall(r"(?:href|src)\s*=\s*[\"']([^\"']+)", text)
    return {*targets, *re.findall(r"(?<![(\"'=])\bhttps?://[^\s)>\"'\]]+", text)}


def anchors_of(text):
    """What #... can point to: headings, as GitHub (small letters) or JupyterLab writes them, ids."""
    found = set(re.findall(r"\b(?:id|name)=[\"']([^\"']+)", text))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[*_`]", r"\1", heading)
        found |= {re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")}
        found |= {plain.replace(" ", "-")}
    return found


def wrong_with(target, page):
    """What is wrong with a link, or None."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        host = parts.hostname or ""
        if parts.scheme != "https" or not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host):
            return "not a https address"
        return None
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not path.is_relative_to(ROOT) or not path.exists():
        return "no such file in the repository"
    if parts.fragment and unquote(parts.fragment) not in anchors_of(markdown_of(path)):
        return "no such heading"
    return None


@pytest.mark.parametrize("page", ["README.md", *(f"notebooks/{name}.ipynb" for name in NAMES)])
def test_links_have_form_and_local_targets(page):
    targets = links_of(markdown_of(ROOT / page))
    assert targets
    wrong = {t: why for t in sorted(targets) if (why := wrong_with(t, ROOT / page))}
    assert not wrong


def test_a_wrong_link_is_noticed():
    page = ROOT / "README.md"
    text = "[a](no/file.md) ![b](http://a.org/x.png) <a href='#nowhere'>c</a> https://x y [d](../e)"
    assert len(links_of(text)) == 5 and all(wrong_with(t, page) for t in links_of(text))
    assert wrong_with("#the-notebooks", page) is None
    assert wrong_with("notebooks/01_dataset.ipynb", page) is None


def test_readme_links_every_notebook():
    assert {f"notebooks/{name}.ipynb" for name in NAMES} <= links_of(read(ROOT / "README.md"))


# ---------------------------------------------------------------- figures on a static page


def figures(book):
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if PLOTLY in output.get("data", {}):
                yield cell, output


@pytest.mark.parametrize("name", NAMES)
def test_saved_figures_are_there_with_and_without_a_script(name):
    """Each has its data, a PNG, and one text: caption, alternative text and plain text."""
    found = list(figures(notebook(name)))
    assert len(found) >= 3
    for cell, output in found:
        says = output.data[PLOTLY]["layout"]["meta"]["says"]
        assert output.data["image/png"].startswith("iVBOR"), f"no PNG: {says}"
        assert output.metadata["image/png"]["alt"] == output.data["text/plain"] == says
        captions = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
        assert html.escape(says) in captions


class Images(HTMLParser):
    """Collects the alternative text of every <img>."""

    def __init__(self, text):
        super().__init__()
        self.alts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


@pytest.mark.parametrize("template", ["lab", "classic"])
def test_html_export_shows_the_figures_in_pictures_and_words(template, tmp_path):
    """nbconvert's own template drops alternative texts, there the caption stands below the picture."""
    done = python(FOLDER, "-m", "nbconvert", "--to", "html", "--template", template,
                  "04_attention.ipynb", "--output-dir", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = read(tmp_path / "04_attention.html")
    alts = Images(page).alts
    said = [o.data[PLOTLY]["layout"]["meta"]["says"] for _, o in figures(notebook("04_attention"))]
    assert len(alts) >= len(said) and all(html.escape(words) in page for words in said)
    if template == "classic":
        assert [a for a in alts if a in said] == said
        assert all(alts), "an image without alternative text"


# ---------------------------------------------------------------- building


def copy_of_the_series(folder):
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for part in ("helpers", "notebooks", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "requirements.txt"):
        shutil.copy(ROOT / file, folder)
    return folder


def python(folder, *command, **env):
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **env},
    )  # fmt: skip


def test_build_without_a_browser_says_so_and_keeps_the_data(tmp_path):
    copy, out = copy_of_the_series(tmp_path / "series"), tmp_path / "out"
    out.mkdir()
    nowhere = {"PATH": str(tmp_path), "BROWSER_PATH": "", "PLOTLY_RENDERER": ""}
    done = python(copy, "notebooks/build.py", "01_dataset", "--into", str(out), **nowhere)
    assert done.returncode == 0, done.stderr
    assert "no Chromium" in done.stderr and "without PNG" in done.stderr
    made = nbformat.read(out / "01_dataset.ipynb", as_version=4)
    data = [output.data for _, output in figures(made)]
    assert [d[PLOTLY] for d in data] == [o.data[PLOTLY] for _, o in figures(notebook("01_dataset"))]
    assert len(data) >= 3 and not any("image/png" in d for d in data)


# ---------------------------------------------------------------- the address stands in one place


def without_stamps(path, stamps):
    """The text of a file, less what the build writes into it."""
    text = read(path)
    if path.suffix == ".ipynb":
        text = "\n".join(c.source for c in nbformat.reads(text, as_version=4).cells)
    if path.suffix == ".py":
        text = re.sub(r"^# (?=\[!\[Open)", "", text, flags=re.M)
    for stamp in stamps:
        text = text.replace(stamp, "")
    return text


def files_with_text():
    skip = {".git", ".venv", "__pycache__", "test-artefacts", ".pytest_cache", ".ruff_cache"}
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        made = skip.intersection(inside) or any(p.endswith(".egg-info") for p in inside)
        if path.is_file() and not made and path.suffix not in (".safetensors", ".png"):
            yield path


def test_the_address_stands_only_in_pyproject_and_in_the_stamped_cells():
    address = project_of(ROOT)["urls"]["repository"]
    assert urlsplit(address).scheme == "https" and address == build.ADDRESS
    page = address.removeprefix("https://github.com/")
    stamps = [build.SETUP, *map(build.badge, NAMES)]
    holders = [p for p in files_with_text() if page in without_stamps(p, stamps)]
    assert [p.relative_to(ROOT).as_posix() for p in holders] == ["pyproject.toml"]
    assert read(ROOT / "pyproject.toml").count(page) == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_notebook_has_one_set_up_cell_and_one_badge(name):
    tagged = lambda tag: [
        c.source for c in notebook(name).cells if tag in c.metadata.get("tags", [])
    ]
    assert tagged("setup") == [build.SETUP] and tagged("badge") == [build.badge(name)]
    assert len(build.SETUP.splitlines()) <= 5
    assert build.ADDRESS in build.SETUP


def test_changing_the_address_changes_badges_and_cells_and_forgetting_to_fails(tmp_path):
    copy = copy_of_the_series(tmp_path / "series")
    old, new = build.ADDRESS, "https://github.com/some-school/interpretability"
    pyproject = copy / "pyproject.toml"
    pyproject.write_text(read(pyproject).replace(old, new), encoding="utf-8")
    compare = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", ".",
             "tests/test_notebooks.py", "-k", "is_what_its_source_makes and 01")  # fmt: skip
    forgotten = python(copy, *compare)
    assert forgotten.returncode == 1 and "run: python notebooks/build.py" in forgotten.stdout

    # the build without execution, as the test above needs no outputs
    done = python(copy, "notebooks/build.py", "--sources")
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        source = read(copy / "notebooks" / f"{name}.py")
        cells = json.loads(read(copy / "notebooks" / f"{name}.ipynb"))["cells"]
        for text in (source, "".join("".join(c["source"]) for c in cells)):
            assert text.count(new) == 2 and old not in text
            page = new.removeprefix("https://github.com/")
            assert f"/github/{page}/blob/main/notebooks/{name}.ipynb" in text
