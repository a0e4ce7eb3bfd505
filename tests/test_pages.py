"""What is read without a kernel: the links, the saved figures, the one address."""

import base64
import html
import io
import json
import re
import shutil
import subprocess

import pypdf
import pytest
from PIL import Image

import conftest
from conftest import ALL_NAMES, FOLDER, NAMES, ROOT, python, read, saved, words_of_figures
from helpers.page import PLOTLY_JS
from tools import build

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
WITHOUT_WORDS = r"""!\[\]\(|<img(?![^>]*\salt=["'][^"'])[^>]*>"""  # a picture of Markdown or HTML


@pytest.mark.reader
def test_every_link_to_a_file_leads_to_one():
    conftest.every_link_leads_somewhere(ROOT, *PAGES, "notebooks")


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


def unlike(pen, picture):
    """How far the nearest colour of a picture is from `rrggbb`, in the worst of three channels."""
    seen = [colour for _, colour in picture.getcolors(256)]
    return min(max(abs(a - b) for a, b in zip(bytes.fromhex(pen), one)) for one in seen)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_saved_figures_are_there_with_and_without_a_script(name):
    """Each has its data, twice; pictures for two screens, twice; one text; and all fit in 1 MiB."""
    book = saved(name)
    for output, _ in build.figures(book):
        says, drawn = build.says(output), output.data["text/html"]
        png = base64.b64decode(output.data["image/png"])
        webp = base64.b64decode(re.search(r"image/webp;base64,([^\"]+)", drawn)[1])
        small, large = (Image.open(io.BytesIO(one)).convert("RGB") for one in (png, webp))
        assert (small.width, large.width) == (520, 1300), says  # on screens with two for one
        traces = output.data[build.PLOTLY]["data"]
        pens = json.dumps([(t.get("line"), t.get("marker")) for t in traces]).lower()
        for pen in set(re.findall("#([0-9a-f]{6})", pens)) - {"000000"}:
            assert unlike(pen, small) < 32 or unlike(pen, large) > 8, (says, pen)
        assert output.metadata["image/png"] == {"alt": says, "width": 700}
        assert f'alt="{html.escape(says)}"' in drawn and PLOTLY_JS in drawn
    assert build.target(name).stat().st_size < 2**20
    outputs = [o for cell in book.cells for o in cell.get("outputs", [])]
    captions = "".join(o.get("data", {}).get("text/html", "") for o in outputs)
    words = words_of_figures(name)
    assert all(len(says) > 20 and html.escape(says) in captions for says in words)
    texts = [cell.source for cell in book.cells if cell.cell_type == "markdown"] + [captions]
    assert not re.findall(WITHOUT_WORDS, "\n".join(texts))


def test_each_picture_of_a_page_has_an_alternative_text():
    assert not re.findall(WITHOUT_WORDS, "\n".join(read(ROOT / page) for page in PAGES))


@pytest.mark.nightly
def test_the_six_can_be_printed_with_their_figures_and_the_solutions_at_the_end(tmp_path):
    done = python(ROOT, "site/printable.py", tmp_path / "series.pdf")
    assert done.returncode == 0, done.stderr
    pages = pypdf.PdfReader(tmp_path / "series.pdf").pages
    texts = [" ".join(page.extract_text().split()) for page in pages]
    begins = [f"{name[1]} · " for name in NAMES]
    starts = [i for begin in begins for i, text in enumerate(texts) if text.startswith(begin)]
    assert len(starts) == 6 and starts == sorted(starts)
    (end,) = [i for i, text in enumerate(texts) if text.startswith("Solutions")]
    sources = "".join(cell.source for name in NAMES for cell in saved(name).cells)
    n = sources.count("<summary>Solution</summary>")
    assert sum("Exercise:" in text for text in texts[end:]) and end > starts[-1]
    assert " ".join(texts[end:]).count("Exercise:") == n
    pictures = sum(len(page.images) for page in pages)
    assert pictures >= sum(len(words_of_figures(name)) for name in NAMES)


def written(copy):
    """README and the notebooks of a copy, with their sources, as they are saved."""
    files = [copy / "README.md", *conftest.contents(copy / "notebooks")]
    return {path: read(path) for path in files}


SCHOOL, OTHER = (f"https://github.com/{who}/series" for who in ("some-school", "another"))


@pytest.mark.nightly
def test_the_address_of_a_clone_goes_into_badges_and_cells_and_no_fork_fails_by_being_one(tmp_path):
    copy = conftest.copy_of_the_series(tmp_path / "series")
    nowhere, pyproject = written(copy), copy / "pyproject.toml"
    assert not [p for p, text in nowhere.items() if "Open in Colab" in text or "git clone" in text]
    copy = conftest.copy_at(tmp_path / "clone", SCHOOL)
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
