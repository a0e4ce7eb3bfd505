"""What is read without a kernel: the links, the saved figures, the one address.

Nothing here needs a network. That the notebooks run is checked elsewhere.
"""

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from conftest import ALL_NAMES, FOLDER, NAMES, ROOT, copy_at, python, read, saved
from helpers.reader import page
from tools import build

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES = [page for page in PAGES if (ROOT / page).exists()]

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
    """What #... can point to: headings, as GitHub (small) or JupyterLab writes them, ids."""
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


@pytest.mark.parametrize("page", [*PAGES, *(f"notebooks/{name}.ipynb" for name in ALL_NAMES)])
def test_links_have_form_and_local_targets(page):
    targets = links_of(markdown_of(ROOT / page))
    assert targets or page in PAGES[1:]
    wrong = {t: why for t in sorted(targets) if (why := wrong_with(t, ROOT / page))}
    assert not wrong


def test_a_wrong_link_is_noticed():
    page = ROOT / "README.md"
    text = "[a](no/file.md) ![b](http://a.org/x.png) <a href='#nowhere'>c</a> https://x y [d](../e)"
    assert len(links_of(text)) == 5 and all(wrong_with(t, page) for t in links_of(text))
    assert wrong_with("#the-notebooks", page) is None
    assert wrong_with("notebooks/01_dataset.ipynb", page) is None


def test_readme_links_every_notebook_and_states_its_minutes():
    readme = read(ROOT / "README.md")
    assert {f"notebooks/{name}.ipynb" for name in ALL_NAMES} <= links_of(readme)
    rows = dict(re.findall(r"^\|[^|]*\| \[([\w/]+)\][^|]*\|[^|]*\| (\d+) \|", readme, re.M))
    for name in ALL_NAMES:
        assert f"**Time:** about {rows[name]} minutes" in read(FOLDER / f"{name}.py"), name


def test_readme_explains_what_two_notebooks_of_the_course_explain():
    """In bold, as what is needed in more than one; each opens alone, in any order."""
    words = re.findall(r"^\| \*\*(.+?)\*\*", read(ROOT / "README.md"), re.M)
    assert len(set(words)) == len(words)
    bold = [set(re.findall(r"\*\*([a-z][\w -]+)\*\*", read(FOLDER / f"{n}.py"))) for n in NAMES]
    shared = {word for i, one in enumerate(bold) for other in bold[:i] for word in one & other}
    assert len(shared) >= 4
    assert {word.removeprefix("the ") for word in shared} <= set(words)


# ---------------------------------------------------------------- figures on a static page


def figures(book):
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if build.PLOTLY in output.get("data", {}):
                yield cell, output


@pytest.mark.parametrize("name", ALL_NAMES)
def test_saved_figures_are_there_with_and_without_a_script(name):
    """Each has its data, a PNG, and one text: caption, alternative text and plain text."""
    found = list(figures(saved(name)))
    assert len(found) >= 3
    for cell, output in found:
        says = output.data[build.PLOTLY]["layout"]["meta"]["says"]
        assert len(says) > 20
        named = re.search(r'^show\(.*"([\w-]+)"\)$', cell.source, re.M)
        assert not named or says == page.captions()[named[1]]["says"]
        assert output.data["image/png"].startswith("iVBOR"), f"no PNG: {says}"
        assert output.metadata["image/png"]["alt"] == output.data["text/plain"] == says
        captions = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
        assert html.escape(says) in captions


SHOWS = r"^ *(?:P\.)?(?:show|drawing)\(|^E\.explore_\w+\("


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_cell_that_shows_something_has_it_saved(name):
    """Also what is not compared, such as an explorer; a drawing has its words as its text."""
    for cell in saved(name).cells:
        shown = [o for o in cell.get("outputs", []) if "text/html" not in o.get("data", {})]
        shown += [o for o in cell.get("outputs", []) if "<img" in o.get("data", {}).get(
            "text/html", "")]  # fmt: skip
        if cell.cell_type == "code" and re.search(SHOWS, cell.source, re.M):
            assert shown, cell.source


def test_each_picture_of_a_page_has_an_alternative_text():
    """Those of Markdown, and those of the saved HTML."""
    for path in [*map(ROOT.joinpath, PAGES), *(FOLDER / f"{name}.ipynb" for name in ALL_NAMES)]:
        alts = re.findall(r"!\[([^\]]*)\]\(", markdown_of(path))
        if path.suffix == ".ipynb":
            outputs = [o for c in nbformat.read(path, 4).cells for o in c.get("outputs", [])]
            for output in outputs:
                alts += Images(output.get("data", {}).get("text/html", "")).alts
        assert all(alts), f"{path.name}: a picture without words"
    assert len(re.findall(r"!\[[^\]]{20,}\]", read(ROOT / "README.md"))) >= 1


class Images(HTMLParser):
    """Collects the alternative text of every <img>."""

    def __init__(self, text):
        super().__init__()
        self.alts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


@pytest.mark.slow
@pytest.mark.parametrize("template", ["lab", "classic", "page"])
def test_html_export_shows_the_figures_in_pictures_and_words(template, tmp_path):
    """nbconvert's lab template drops alternative texts, ours (tools/page) puts them back."""
    options = ("--to", "html", "--template", template, "--output-dir", tmp_path)
    options += (f"--TemplateExporter.extra_template_basedirs={ROOT / 'tools'}",)
    done = python(FOLDER, "-m", "nbconvert", *options, "04_attention.ipynb")
    assert done.returncode == 0, done.stderr
    page = read(tmp_path / "04_attention.html")
    alts = Images(page).alts
    found = figures(saved("04_attention"))
    said = [o.data[build.PLOTLY]["layout"]["meta"]["says"] for _, o in found]
    assert len(alts) >= len(said) and all(html.escape(words) in page for words in said)
    if template != "lab":
        assert [a for a in alts if a in said] == said
        assert all(alts), "an image without alternative text"


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
    """The files of the series, without what is made from them."""
    skip = {".git", ".venv", "__pycache__", "build", "test-artefacts", ".pytest_cache",
            ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        made = skip.intersection(parts) or any(p.endswith(".egg-info") for p in parts)
        if path.is_file() and not made and path.suffix not in (".safetensors", ".parquet", ".png"):
            yield path


def test_the_address_stands_only_in_pyproject_and_in_the_stamped_cells():
    assert urlsplit(build.ADDRESS).scheme == "https"
    page = build.ADDRESS.removeprefix("https://github.com/")
    stamps = [*map(build.setup, ALL_NAMES), *map(build.badge, ALL_NAMES)]
    holders = [p for p in files_with_text() if page in without_stamps(p, stamps)]
    assert [p.relative_to(ROOT).as_posix() for p in holders] == ["pyproject.toml"]
    assert read(ROOT / "pyproject.toml").count(page) == 1


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_notebook_has_one_set_up_cell_and_one_badge(name):
    cells = [(c.source, c.metadata.get("tags", [])) for c in saved(name).cells]
    assert [source for source, tags in cells if "setup" in tags] == [build.setup(name)]
    assert [source for source, tags in cells if "badge" in tags] == [build.badge(name)]
    assert max(map(len, build.setup(name).splitlines())) <= 88
    assert (build.ADDRESS in build.setup(name)) == build.is_set(build.ADDRESS)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_only_the_set_up_cell_is_folded_and_the_source_holds_tags_only(name):
    for cell in saved(name).cells:
        tags = cell.metadata.get("tags", [])
        folded = {k: v for k, v in cell.metadata.items() if k != "tags"}
        assert folded == (build.FOLDED if "setup" in tags else {})
    marks = [line for line in read(FOLDER / f"{name}.py").splitlines() if line.startswith("# %%")]
    assert all(re.fullmatch(r"# %%( \[markdown\])?( tags=\[[^]]*\])?", mark) for mark in marks)


def sources_and_pages(folder):
    """README, the sources and the notebooks of a copy, as they are saved."""
    files = [folder / "README.md", *sorted((folder / "notebooks").rglob("*.py"))]
    files += sorted((folder / "notebooks").rglob("*.ipynb"))
    return {path.relative_to(folder).as_posix(): read(path) for path in files}


SCHOOL, NOBODY = (f"https://github.com/{who}/series" for who in ("some-school", build.PLACEHOLDER))


@pytest.mark.slow
def test_an_address_comes_and_goes_with_badges_and_cells_and_forgetting_to_build_fails(tmp_path):
    copy = copy_at(tmp_path / "series", NOBODY)
    nowhere = sources_and_pages(copy)
    assert not [name for name, text in nowhere.items() if "Open in Colab" in text or NOBODY in text]
    pyproject = copy / "pyproject.toml"
    pyproject.write_text(read(pyproject).replace(NOBODY, SCHOOL), encoding="utf-8")
    forgotten = python(copy, "tools/build.py", "--check")
    assert forgotten.returncode == 1 and "README.md: a badge is missing" in forgotten.stdout
    for name in ALL_NAMES:
        assert f"notebooks/{name}: its set-up cell, its badge" in forgotten.stdout

    for _ in range(2):  # the second time nothing changes
        done = python(copy, "tools/build.py", "--sources")
        assert done.returncode == 0, done.stderr
        checked = python(copy, "tools/build.py", "--check")
        assert checked.returncode == 0, checked.stdout
    there = sources_and_pages(copy)
    for name in ALL_NAMES:
        badge = f"/github/some-school/series/blob/main/notebooks/{name}.ipynb"
        assert there["README.md"].count(badge) == 1
        for suffix in (".py", ".ipynb"):
            text = there[f"notebooks/{name}{suffix}"]
            assert text.count(badge) == text.count(SCHOOL) == 1

    pyproject.write_text(read(pyproject).replace(SCHOOL, NOBODY), encoding="utf-8")
    done = python(copy, "tools/build.py", "--sources")
    assert done.returncode == 0 and sources_and_pages(copy) == nowhere
