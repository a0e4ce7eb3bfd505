"""Makes `index.html`, the page that lives, of what stands in `src/` and the stored weights.

One file that needs no other: `python site/live/build.py`. With `--check` it only says whether the
file is what its sources give.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from helpers.model import WEIGHTS, shapes  # noqa: E402
from helpers.storage import load  # noqa: E402

PAGE = HERE / "index.html"
ENGINE = ("model", "training", "measuring")  # what the worker needs, too


def source(*names: str) -> str:
    """Modules one after the other, as one script: what they import stands before them."""
    text = "\n".join((HERE / "src" / name).read_text(encoding="utf-8") for name in names)
    return re.sub(r"^import\s[^;]*;\n|^export\s+", "", text, flags=re.M)


def weights() -> list[float]:
    """The 360 numbers of the article's model, in the order of `helpers.model.shapes`."""
    tensors, _ = load(WEIGHTS / "article.safetensors")
    return [value for name in shapes("article") for value in tensors[name].flatten().tolist()]


def made() -> str:
    """The whole page."""
    parts = dict(
        style=source("style.css"),
        weights=json.dumps(weights()),
        engine=source(*(f"{name}.mjs" for name in ENGINE)),
        page=source("picture.mjs", "page.mjs"),
    )
    text = source("page.html")
    return re.sub(r"/\* \{\{(\w+)\}\} \*/", lambda found: parts[found[1]].strip(), text)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(f"got {' '.join(arguments)!r}; allowed is --check, or nothing", file=sys.stderr)
        return 2
    text = made()
    if not arguments:
        PAGE.write_text(text, encoding="utf-8", newline="\n")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE} is not what its sources give: run `python site/live/build.py`")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
