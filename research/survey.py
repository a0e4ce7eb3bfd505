"""The table of the survey: a thousand models, one row each, as `research.census` measures them.

`tools/survey.py` makes it. The weights of the article's models are stored beside it; those of the
other kinds can be trained again from their seeds. A column of a table of pandas, a row for each
seed, becomes a tensor by `values`.
"""

import hashlib
import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import fisher_exact

from helpers import task
from helpers.model import Zoo, load_zoo
from helpers.page import k_of_n
from helpers.storage import NO_SUM, check_seal, sealed, write_whole
from research import WEIGHTS

TABLE, MODELS = WEIGHTS / "survey.parquet", WEIGHTS / "survey.safetensors"

# What the columns of the table are. `[8]`: a number for each output, y0 to y7. Counts are of all
# 65,536 inputs, and say how many are right, if nothing else is said; `no_own`: with the token at
# the output's own place taken out of the stream (its mean over the four tokens put in), at y1-y7.
COLUMNS = dict(
    kind="the kind of the model, as `helpers.model.KINDS` has it",
    seed="its seed",
    order="the seed of the order of its batches: the same, but for the models with one start",
    steps="training steps",
    stopped="whether 50 batches in a row without a wrong token ended the training",
    right="[8] the model as it is",
    weight="[8] mean weight of attention on the source",
    ideal="[8] with the ideal pattern: weight 1 on the source",
    frozen="[8] with the pattern frozen at its mean",
    attn_zero="[8] attention's output zero",
    attn_zero_bos="at how many of 8 x 65,536 outputs it then says BOS",
    W_O_zero="[8] W_O zero: attention writes its bias",
    W_O_zero_bos="at how many outputs it then says BOS",
    attn_mean="[8] attention's output replaced by its mean",
    attn_resample="[8] attention's output taken from another input",
    W_out_zero="[8] W_out zero: the MLP writes its bias",
    W_out_zero_bos="at how many outputs it then says BOS",
    mlp_zero="[8] the MLP's output zero: what the logit lens reads before the MLP",
    mlp_zero_bos="at how many outputs it then says BOS",
    source_before="[8] how often the logit lens reads the source before the MLP",
    mlp_mean="[8] the MLP's output replaced by its mean",
    mlp_resample="[8] the MLP's output taken from another input",
    mlp_constant="[8] 1: a constant in its place keeps every input right; 0: none; -1: undecided",
    mlp_by_own="[8] ... by its mean for each own token",
    mlp_by_source="[8] ... by its mean for each source token",
    silent_neurons="how many of 16 neurons are never on at an output",
    away="[8, 4] with no weight on the source, by source token (of 16,384)",
    weight_by_source="[8, 4] mean weight on the source, by source token",
    places="[8, 4] mean place along the first direction, by source token; 2 right of 1",
    share="share of the squared size of what attention writes along the first direction",
    line="[8] attention's output cut down to its mean and one direction",
    line_each="[8] the same, each output with a direction of its own",
    plane="[8] attention's output cut down to its mean and two directions",
    no_own="[8] no_own",
    line_no_own="[8] line, no_own",
    line_each_no_own="[8] line_each, no_own",
    plane_no_own="[8] plane, no_own",
    line_mean="[8] line, and the MLP's output replaced by its mean",
    line_constant="[8] as mlp_constant, with line and no_own; where line_no_own is right at y1-y7",
    story_constant="[8] as mlp_constant, one that does with line and without; where line is right",
    random_line="[8] attention's output cut down to its mean and a direction at random",
    random_plane="[8] ... and to the plane at right angles to another such direction",
    some_line="whether some direction, the same for all outputs, was found to be enough",
    routes="[16] how often y0 follows x7 where it is exchanged in some routes: `routes.ROUTES`",
    mlp_varies="at y1-y7: share of the squared size of the MLP's output that varies with the input",
    mlp_follows="... and the share of this that is its mean by source token",
    table="[8] attention's output replaced by its mean for each source token",
    table_no_own="[8] table, no_own: 32 vectors",
    look_no_own="[8] w V + (1 - w) d, no_own: look at the source or at a default",
    four_no_own="[8] m + g v, no_own: four vectors v for y1-y7 together, y0 as in table",
    any_own="[8] right whichever other token stands at the own place; attention as it was",
    dots="[8] how many of the 4 sources get their successor in the picture of four lines",
    cases="of the exact: cases of the proof as a function of real numbers; -1: not proved",
    cases_float64="... as any program in float64",
    cases_float32="... as any program in float32, to which its weights are rounded",
    cases_story="... because of a line and constants; where story_constant is 1 everywhere",
    pause="step at which the accuracy of y1-y7 came to one half; -1: never",
    pairs="[8] the number in `PAIRS` of the pairs that an output then knew; -1: none",
)


def write_table(path, rows: list[dict], note: dict, columns=COLUMNS) -> None:
    """Write `rows` (name of `columns` -> value; what was not measured is left out) as parquet, with
    `note` and a sum over every byte. Counts stay whole, other numbers keep four decimals."""
    table = {name: _column(name, [row.get(name) for row in rows]) for name in columns}
    about = {"note": json.dumps(note), "columns": json.dumps(columns), "sha256": NO_SUM}
    blob = io.BytesIO()
    pq.write_table(pa.table(table).replace_schema_metadata(about), blob, compression="zstd")
    write_whole(path, sealed(blob.getvalue()))


def _column(name: str, values: list) -> pa.Array:
    some = next((value for value in values if value is not None), None)
    if not isinstance(some, torch.Tensor):
        return pa.array(values)
    whole = not some.is_floating_point() or name == "away"
    kind, digits = (pa.int32(), 0) if whole else (pa.float32(), 4)
    kind, shape = (pa.list_(kind), (-1,)) if some.dim() else (kind, ())
    plain = (v if v is None else v.double().round(decimals=digits).view(shape) for v in values)
    return pa.array([v if v is None else v.tolist() for v in plain], kind)


def read_table(path, columns=COLUMNS) -> tuple[pd.DataFrame, dict]:
    """(table, note) that `write_table` wrote to `path`; the errors of `load_survey`."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected the survey's table")
    blob = path.read_bytes()
    try:
        about = pq.read_metadata(io.BytesIO(blob)).metadata or {}
        check_seal(blob, about.get(b"sha256", b"none").decode())
        table = pd.read_parquet(io.BytesIO(blob), dtype_backend="pyarrow")
        if list(table) != list(columns):
            raise ValueError(f"it has the columns {', '.join(table)}")
        return table.set_index("seed"), json.loads(about[b"note"])
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise ValueError(
            f"{path}: not the survey's table as it was written ({error}). "
            "The file was cut short or altered: fetch it again."
        ) from None


def load_survey(kind: str = "article", crossed: bool = False, path=TABLE) -> pd.DataFrame:
    """The survey's rows of `kind`, by seed: each seed with its own order of batches, or if
    `crossed` the models that share starts and orders. FileNotFoundError or ValueError, naming the
    file, where it is missing, altered or no such table; ValueError for a kind that it lacks."""
    table, _ = read_table(path)
    table = table[(table["order"] != table.index) == crossed]
    return table[table["kind"] == task.one_of(kind, table["kind"].unique(), "model")]


def exact_models(kind: str = "article") -> pd.DataFrame:
    """The rows of the models of `kind` that are right on every input."""
    table = load_survey(kind)
    return table[right(table, "right").all(1).numpy()]


def load_models(path=MODELS, table=TABLE) -> Zoo:
    """The article's models of the survey. ValueError unless they are those that were measured."""
    zoo = load_zoo("article", path=path)
    if digest(zoo) != read_table(table)[1]["weights"]:
        raise ValueError(f"{table} was measured on other weights than those of {path}")
    return zoo


def digest(zoo: Zoo) -> str:
    """SHA-256 over the bits of all weights, in the order of their names."""
    each = [value.numpy().astype("<f8").tobytes() for _, value in sorted(zoo.weights.items())]
    return hashlib.sha256(b"".join(each)).hexdigest()


def values(table: pd.DataFrame, name: str) -> torch.Tensor:
    """A column as a tensor: `[n]`, `[n, 8]` or `[n, 8, 4]`. It has to be measured in all rows; ask
    for those where it is by `table[has(table, name).numpy()]`."""
    found = torch.tensor(table[name].tolist())
    by_token = found.shape[1:] == (task.LENGTH * task.DIGITS,)
    return found.unflatten(1, (task.LENGTH, task.DIGITS)) if by_token else found


def has(table: pd.DataFrame, name: str) -> torch.Tensor:
    """For which rows the column was measured: bool `[n]`."""
    return torch.tensor(table[name].notna().tolist(), dtype=torch.bool)


def right(table: pd.DataFrame, name: str) -> torch.Tensor:
    """At which outputs every input is right under the column `name`: bool `[n, 8]`."""
    return values(table, name) == task.N_SEQUENCES


def row(table: pd.DataFrame, seed: int) -> dict[str, torch.Tensor]:
    """What was measured of one seed, by column. KeyError, with the seeds there are, for another."""
    if seed not in table.index:
        there = f"{table.index.min()} to {table.index.max()}"
        raise KeyError(f"got the seed {seed!r}; this survey holds {there}")
    one = table.loc[[seed]].drop(columns="kind")
    return {name: values(one, name)[0] for name in one if has(one, name).all()}


def y0_of(table: pd.DataFrame) -> dict[str, torch.Tensor]:
    """The three kinds of y0, each a bool `[n]`: "in place" (right when attention writes its mean),
    "looks" (not in place, and right under the ideal pattern), "looks away" (neither)."""
    in_place, passes = right(table, "attn_mean")[:, 0], right(table, "ideal")[:, 0]
    return {"in place": in_place, "looks": ~in_place & passes, "looks away": ~(in_place | passes)}


def needs_of(table: pd.DataFrame) -> dict[str, torch.Tensor]:
    """What y1 to y7 need of attention, without their own token: {"a line", "a plane" or "more":
    bool `[n]`}, each mask without the models of the one before."""
    line, plane = (right(table, f"{what}_no_own")[:, 1:].all(1) for what in ("line", "plane"))
    return {"a line": line, "a plane": plane & ~line, "more": ~plane & ~line}


def sorts_of(table: pd.DataFrame) -> dict[str, torch.Tensor]:
    """At how many of y1 to y7 some constant can stand in for the MLP: {"bias" (all), "mixed" or
    "bent" (none does): bool `[n]`}."""
    n = (values(table, "mlp_constant")[:, 1:] == 1).sum(1)
    return {"bias": n == task.LENGTH - 1, "mixed": (n > 0) & (n < task.LENGTH - 1), "bent": n == 0}


def chance(k: int, n: int, k2: int, n2: int) -> float:
    """How likely so large a difference of two shares is by chance: Fisher's exact test."""
    return fisher_exact([[k, n - k], [k2, n2 - k2]]).pvalue


def compared(predictions: list[dict], found: dict) -> list[list[str]]:
    """What was expected beside what was `found` `{id: (k, n)}`: sentence, range, k of n, mark."""
    rows = []
    for e in (e for e in predictions if e["id"] in found):
        k, n = found[e["id"]]
        mark = "✓" if e["low"] <= k / n <= e["high"] else "✗"
        rows.append([e["says"], f"{e['low']:.0%} to {e['high']:.0%}", k_of_n(k, n), mark])
    return rows
