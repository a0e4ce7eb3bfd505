"""What is read without a kernel: the links, the saved figures, the one address."""

import base64
import html
import io
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pypdf
import pytest
from PIL import Image

from conftest import (
    ALL_NAMES,
    FOLDER,
    NAMES,
    ROOT,
    contents,
    copy_at,
    copy_of_the_series,
    python,
    read,
    saved,
)
from helpers.page import PLOTLY_JS
from tools import build

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


@pytest.mark.reader
def test_every_link_to_a_file_leads_to_one():
    """By pytest-check-links, which asks no network for the others."""
    options = ["-n0", "-q", "-p", "no:nbval", "-p", "no:cacheprovider", "-c", os.devnull]
    links = ["--check-links", "--check-links-ignore=^https:", "--rootdir", ROOT]
    done = python(ROOT, "-m", "pytest", *options, *links, *PAGES, "notebooks")
    assert done.returncode == 0, done.stdout


def test_readme_links_every_notebook_and_states_its_minutes():
    readme = read(ROOT / "README.md")
    row = r"^\| [\d+] \| \[([\w/]+)\]\(notebooks/\1\.ipynb\) \|[^|]*\| (\d+) \|"
    rows = dict(re.findall(row, readme, re.M))
    assert set(rows) == set(ALL_NAMES)
    for name in ALL_NAMES:
        assert f"**Time:** about {rows[name]} minutes" in read(FOLDER / f"{name}.py"), name


def test_the_glossary_explains_what_two_notebooks_of_the_course_explain():
    """In bold, as what is needed in more than one; each opens alone, in any order."""
    words = set(re.findall(r"\*\*(.+?)\*\*", read(ROOT / "GLOSSARY.md")))
    bold = [set(re.findall(r"\*\*([a-z][\w -]+)\*\*", read(FOLDER / f"{n}.py"))) for n in NAMES]
    shared = {word for i, one in enumerate(bold) for other in bold[:i] for word in one & other}
    assert shared and {word.removeprefix("the ") for word in shared} <= words


def says_of(book):
    """The words of each figure of a notebook, in order."""
    return [build.says(output) for output, _ in build.figures(book)]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_saved_figures_are_there_with_and_without_a_script(name):
    """Each has its data, twice; pictures for two screens, twice; one text; and all fit in 1 MiB."""
    book = saved(name)
    for output, _ in build.figures(book):
        says, drawn = build.says(output), output.data["text/html"]
        png = base64.b64decode(output.data["image/png"])
        webp = base64.b64decode(re.search(r"image/webp;base64,([^\"]+)", drawn)[1])
        widths = [Image.open(io.BytesIO(picture)).width for picture in (png, webp)]
        assert widths == [520, 1300], says  # on screens with two for one
        assert output.metadata["image/png"] == {"alt": says, "width": 700}
        assert f'alt="{html.escape(says)}"' in drawn and PLOTLY_JS in drawn
    assert build.target(name).stat().st_size < 2**20
    outputs = [o for cell in book.cells for o in cell.get("outputs", [])]
    captions = "".join(o.get("data", {}).get("text/html", "") for o in outputs)
    assert all(len(says) > 20 and html.escape(says) in captions for says in says_of(book))


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_cell_that_shows_something_has_it_saved(name):
    """Also what is not compared, such as an explorer."""
    for cell in saved(name).cells:
        if cell.cell_type == "code" and re.search(r"\b(show|drawing|explore_\w+)\(", cell.source):
            assert cell.outputs, cell.source


class Images(HTMLParser):
    """Collects the alternative text of every <img>."""

    def __init__(self, text):
        super().__init__()
        self.alts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


def test_each_picture_of_a_page_has_an_alternative_text():
    """Those of Markdown, and those of the saved HTML."""
    texts = {page: read(ROOT / page) for page in PAGES}
    for name in ALL_NAMES:
        cells = saved(name).cells
        texts[name] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
        outputs = [o for c in cells for o in c.get("outputs", [])]
        assert all(all(Images(o.get("data", {}).get("text/html", "")).alts) for o in outputs), name
    for page, text in texts.items():
        assert all(re.findall(r"!\[([^\]]*)\]\(", text)), f"{page}: a picture without words"


@pytest.mark.reader
def test_html_export_shows_the_figures_in_pictures_and_words(tmp_path):
    """nbconvert drops alternative texts: the words stand below. The site keeps both."""
    options = ("--to", "html", "--output-dir", tmp_path)
    done = python(FOLDER, "-m", "nbconvert", *options, "04_attention.ipynb")
    assert done.returncode == 0, done.stderr
    page, said = read(tmp_path / "04_attention.html"), says_of(saved("04_attention"))
    assert len(Images(page).alts) >= len(said) and all(html.escape(words) in page for words in said)


@pytest.mark.nightly
def test_the_six_can_be_printed_with_their_figures_and_the_solutions_at_the_end(tmp_path):
    done = python(ROOT, "site/printable.py", tmp_path / "series.pdf")
    assert done.returncode == 0, done.stderr
    pages = pypdf.PdfReader(tmp_path / "series.pdf").pages
    texts = [" ".join(page.extract_text().split()) for page in pages]
    starts = [
        i for name in NAMES for i, text in enumerate(texts) if text.startswith(f"{name[1]} · ")
    ]
    assert len(starts) == 6 and starts == sorted(starts)
    (end,) = [i for i, text in enumerate(texts) if text.startswith("Solutions")]
    sources = "".join(cell.source for name in NAMES for cell in saved(name).cells)
    n = sources.count("<summary>Solution</summary>")
    assert sum("Exercise:" in text for text in texts[end:]) and end > starts[-1]
    assert " ".join(texts[end:]).count("Exercise:") == n
    pictures = sum(len(page.images) for page in pages)
    assert pictures >= sum(len(says_of(saved(name))) for name in NAMES)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_each_notebook_has_one_set_up_cell_and_one_badge(name):
    cells = [(c.source, c.metadata.get("tags", [])) for c in saved(name).cells]
    assert [source for source, tags in cells if "setup" in tags] == [build.setup(name)]
    assert [source for source, tags in cells if "badge" in tags] == [build.badge(name)]


def written(copy):
    """README and the notebooks of a copy, with their sources, as they are saved."""
    return {path: read(path) for path in [copy / "README.md", *contents(copy / "notebooks")]}


SCHOOL, OTHER = (f"https://github.com/{who}/series" for who in ("some-school", "another"))


@pytest.mark.nightly
def test_the_address_of_a_clone_goes_into_badges_and_cells_and_no_fork_fails_by_being_one(tmp_path):
    copy = copy_of_the_series(tmp_path / "series")
    nowhere, pyproject = written(copy), copy / "pyproject.toml"
    assert not [p for p, text in nowhere.items() if "Open in Colab" in text or "git clone" in text]
    copy = copy_at(tmp_path / "clone", SCHOOL)
    there = written(copy)
    for name in ALL_NAMES:
        badge = f"/github/some-school/series/blob/main/notebooks/{name}.ipynb"
        pages = [copy / "notebooks" / f"{name}{suffix}" for suffix in (".py", ".ipynb")]
        assert [there[page].count(badge) for page in [copy / "README.md", *pages]] == [1, 1, 1]
        assert [there[page].count(f'url = "{SCHOOL}"') for page in pages[:1]] == [1]

    set_url = ["git", "-C", copy, "remote", "set-url", "origin", "git@github.com:another/series"]
    subprocess.run(set_url, check=True)
    assert python(copy, "tools/build.py", "--check").returncode == 0  # a fork, not built yet
    text, line = read(pyproject), f'urls = {{ repository = "{OTHER}" }}\n'
    pyproject = copy / "pyproject.toml"
    pyproject.write_text(text.replace("dynamic = [", line + "dynamic = ["), encoding="utf-8")
    forgotten = python(copy, "tools/build.py", "--check")
    assert forgotten.returncode == 1 and "README.md: minutes or badges" in forgotten.stdout
    assert forgotten.stdout.count(": its set-up cell, its badge") == len(ALL_NAMES)

    pyproject.write_text(text, encoding="utf-8")
    assert python(copy, "tools/build.py", "--sources").returncode == 0
    assert OTHER in read(copy / "notebooks" / "01_dataset.py")  # of the remote
    shutil.rmtree(copy / ".git")
    assert python(copy, "tools/build.py", "--sources").returncode == 0
    assert [*written(copy).values()] == [*nowhere.values()]
