"""Check that sections fit together (METHOD 3, 6.4, 8.4): data, pipeline, evaluation and report.

A rule is a function that yields problems. `checks_teacher`, `checks_training` and `checks_hint` have the other rules.
Rules see the experiment alone. What depends on the environment (demo-only parts, what the runtime supports) is checked
when a plan is compiled: `c2f_spec/plan/compile.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.language import checks_hint, checks_teacher, checks_training
from c2f_spec.language.suggestions import list_choices, suggest
from c2f_spec.spec.datasets import DATASETS, off_centre
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.reporting import METRICS, TABLES
from c2f_spec.spec.sections import Dc, Direct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.reporting import OwnTable


__all__ = ["RULES", "Problem", "check"]


def check(experiment: Experiment) -> list[Problem]:
    """Return every problem that the rules find."""
    rules = (*RULES, *checks_teacher.RULES, *checks_training.RULES, *checks_hint.RULES)
    return [problem for rule in rules for problem in rule(experiment)]


def check_data_sets(e: Experiment) -> Iterator[Problem]:
    named: list[tuple[tuple[str | int, ...], str]] = [(("data", "train"), e.data.train)]
    named += [
        (("evaluate", "datasets", i), n) for i, n in enumerate(e.evaluate.datasets if e.evaluate else ())
    ]
    for loc, name in named:
        if name not in e.data.known:
            yield Problem("C2F301", loc, f"data set `{name}` not found", suggest(name, e.data.known))


def check_splits(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    trains = e.teacher is not None or e.sft is not None or e.grpo is not None
    if train and trains and "train" not in train.splits:
        names = [f"`{d.name}`" for d in e.data.known.values() if "train" in d.splits]
        hint = f"set `data.train` to one of {', '.join(names)}"
        yield Problem("C2F302", ("data", "train"), f"`{train.name}` has no training split", hint)


def check_render_seed(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    rendered = [n for n in (e.data.train, *(e.evaluate.datasets if e.evaluate else ())) if n in e.data.known]
    if train and e.data.render_seed is not None and not any(e.data.known[n].rendered for n in rendered):
        message = f"`render_seed` has no effect: the clips of `{train.name}` are recorded, not rendered"
        yield Problem("C2F303", ("data", "render_seed"), message, "remove `render_seed`", at_key=True)


def check_duplicates(e: Experiment) -> Iterator[Problem]:
    if e.evaluate is None:
        return
    for field in ("checkpoints", "datasets"):
        values = getattr(e.evaluate, field)
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Problem("C2F304", ("evaluate", field, i), f"duplicate `{value}`", "remove one of them")


def check_imported_predictions(e: Experiment) -> Iterator[Problem]:
    """Check that imported predictions are of an evaluated test set, one for each model, with a name that is free."""
    if e.evaluate is None:
        return
    evaluated, found, cells = list(e.evaluate.datasets), [], set()
    for i, each in enumerate(e.evaluate.imported):
        if each.dataset not in evaluated:
            message = f"imported predictions on `{each.dataset}`, which is not in `evaluate.datasets`"
            found.append((i, "dataset", message, suggest(each.dataset, evaluated)))
        if each.name in CHECKPOINTS:
            message = f"`{each.name}` is the reserved name of a checkpoint"
            found.append((i, "name", message, "set `name` to the name of the model"))
        if (each.name, each.dataset) in cells:
            found.append((i, "name", f"duplicate `{each.name}` on `{each.dataset}`", "remove one of them"))
        cells.add((each.name, each.dataset))
    for i, field, message, hint in found:
        yield Problem("C2F378", ("evaluate", "import", i, field), message, hint)


def check_not_empty(e: Experiment) -> Iterator[Problem]:
    if not (e.teacher or e.sft or e.grpo or e.evaluate):
        yield Problem(
            "C2F305",
            ("name",),
            "nothing to run",
            "add a section `teacher`, `sft`, `grpo` or `evaluate`",
            at_key=True,
        )


def check_chains(e: Experiment) -> Iterator[Problem]:
    direct = isinstance(e.format, Direct)
    if direct and e.teacher:
        message = "`teacher` has no effect: `format: direct` has no chain of thought"
        hint = "remove `teacher` and `filters`, or set `format: c2f`"
        yield Problem("C2F306", ("teacher",), message, hint, at_key=True)
    if e.filters and not e.teacher:
        message = "`filters` has no effect without `teacher`"
        yield Problem("C2F307", ("filters",), message, "add `teacher`, or remove `filters`", at_key=True)
    if e.teacher and not e.filters:
        hint = "remove `filters: null`, and turn single filters off by `null`"
        yield Problem(
            "C2F308", ("teacher",), "missing `filters` for the chains of `teacher`", hint, at_key=True
        )
    if e.sft and not direct and not e.teacher:
        hint = "add `teacher` and `filters`, or set `format: direct`"
        message = "missing `teacher`: fine-tuning on chains of thought needs it"
        yield Problem("C2F309", ("sft",), message, hint, at_key=True)


def check_score_replacement(e: Experiment) -> Iterator[Problem]:
    if e.filters and e.filters.replace_score_with_label and e.filters.polarity_match is None:
        message = (
            "`replace_score_with_label` without `polarity_match` can contradict the polarity of the chain"
        )
        yield Problem(
            "C2F310",
            ("filters",),
            message,
            "remove `polarity_match: null`, or set `replace_score_with_label: false`",
            at_key=True,
        )


def check_checkpoints(e: Experiment) -> Iterator[Problem]:
    for i, checkpoint in enumerate(e.evaluate.checkpoints if e.evaluate else ()):
        if checkpoint != "base" and getattr(e, checkpoint) is None:
            message = f"missing section `{checkpoint}` for checkpoint `{checkpoint}`"
            hint = f"add `{checkpoint}:`, or remove the checkpoint"
            yield Problem("C2F311", ("evaluate", "checkpoints", i), message, hint)


def check_rewards(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None:
        return
    if not e.grpo.rewards.active():
        yield Problem(
            "C2F312", ("grpo", "rewards"), "no reward has a weight above 0", "set the `weight` of a reward"
        )
    if isinstance(e.format, Direct):
        message = "`grpo` does not support `format: direct`, which has no polarity to reward"
        yield Problem("C2F313", ("grpo",), message, "set `format: c2f`, or remove `grpo`", at_key=True)


def check_tags(e: Experiment) -> Iterator[Problem]:
    if isinstance(e.format, Dc):
        names = [e.format.polarity_tag, e.format.think_tag, e.format.score_tag]
        if len(set(names)) < len(names):
            hint = "set `polarity_tag`, `think_tag` and `score_tag` to different names"
            yield Problem("C2F317", ("format",), "duplicate tag names", hint, at_key=True)


def check_leaks(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    for i, name in enumerate(e.evaluate.datasets if e.evaluate else ()):
        if name not in e.data.known or train is None:
            continue
        if train.name in e.data.known[name].contains:
            message = f"test data leak: `{name}` contains clips of `{train.name}`, which is trained on"
        elif name in train.contains:
            message = f"test data leak: `{train.name}`, which is trained on, contains clips of `{name}`"
        else:
            continue
        hint = "remove it, or read its results as neither in-domain nor out-of-domain"
        yield Problem("C2F318", ("evaluate", "datasets", i), message, hint, severity="warning")


def check_label_decimals(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    if train and (e.sft or e.grpo) and e.format.label_decimals < train.decimals:
        yield Problem(
            "C2F319",
            ("format",),
            f"labels of `{train.name}` are rounded: they have {train.decimals} decimals, targets {e.format.label_decimals}",
            f"set `format.label_decimals: {train.decimals}`",
            severity="warning",
            at_key=True,
        )


def check_decoding(e: Experiment) -> Iterator[Problem]:
    decoding = e.evaluate.decoding if e.evaluate else None
    if decoding and decoding.temperature == 0 and decoding.top_p < 1:
        message = "`top_p` has no effect: at temperature 0 decoding is greedy"
        hint = "remove `top_p`, or raise `temperature` above 0"
        yield Problem("C2F320", ("evaluate", "decoding", "top_p"), message, hint, at_key=True)


def check_hypothesis(e: Experiment) -> Iterator[Problem]:
    """Check that a hypothesis has a cell with its metric, and a table of the paper the same training set."""
    if (e.hypothesis or e.tables) and e.evaluate is None:
        name = "hypothesis" if e.hypothesis else "tables"
        message = f"`{name}` has no effect without `evaluate`"
        yield Problem("C2F321", (name,), message, f"add `evaluate`, or remove `{name}`", at_key=True)
    elif e.hypothesis and e.evaluate:
        name = e.hypothesis.dataset or e.data.train
        if name not in e.evaluate.datasets:
            message = f"the hypothesis needs results on `{name}`, which is not in `evaluate.datasets`"
            hint = f"add `{name}` to `evaluate.datasets`, or set another `dataset`"
            yield Problem("C2F322", ("hypothesis", "dataset"), message, hint)
        elif name in e.data.known and e.hypothesis.metric not in METRICS[e.data.known[name].family]:
            message = f"metric `{e.hypothesis.metric}` is not supported for `{name}`"
            hint = list_choices(METRICS[e.data.known[name].family])
            yield Problem("C2F323", ("hypothesis", "metric"), message, hint)
    for i, table in enumerate(e.tables):
        if table.kind != "own" and TABLES[table.kind] != e.data.train:
            trained = TABLES[table.kind]
            message = f"models of table {table.kind} were trained on `{trained}`, not on `{e.data.train}`"
            yield Problem("C2F324", ("tables", i), message, "remove the table")


def check_tables(e: Experiment) -> Iterator[Problem]:
    """Check that columns name known data sets and metrics of their family, and that names of tables differ."""
    own = [(i, table) for i, table in enumerate(e.tables) if table.kind == "own"]
    names = [table.name for _, table in own]
    for place, (i, table) in enumerate(own):
        found = _wrong_columns(e, table)
        if table.name in names[:place]:
            found = [(("name",), f"duplicate table `{table.name}`", "rename one of the tables"), *found]
        for loc, message, hint in found:
            yield Problem("C2F379", ("tables", i, *loc), message, hint)


def _wrong_columns(e: Experiment, table: OwnTable) -> list[tuple[tuple[str | int, ...], str, str]]:
    """Return location in the table, message and hint of each problem."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    for j, column in enumerate(table.columns):
        name = column.dataset
        if name not in e.data.known:
            found.append(
                (("columns", j, "dataset"), f"data set `{name}` not found", suggest(name, e.data.known))
            )
            continue
        metrics = METRICS[e.data.known[name].family]
        found += [
            (
                ("columns", j, "metrics", k),
                f"metric `{metric}` is not supported for `{name}`",
                list_choices(metrics),
            )
            for k, metric in enumerate(column.metrics)
            if metric not in metrics
        ]
    return found


def check_user_data_sets(e: Experiment) -> Iterator[Problem]:
    names: list[str] = []
    for i, one in enumerate(e.data.own):
        found = []
        if one.name in DATASETS:
            found.append(
                ("name", f"`{one.name}` is the name of a built-in data set", "rename the user data set")
            )
        if one.name in names:
            found.append(("name", f"duplicate data set `{one.name}`", "rename one of the data sets"))
        if one.low >= one.high:
            hint = "set `low` to the least label and `high` to the greatest"
            found.append(("low", f"invalid range of labels: {one.low:g} to {one.high:g}", hint))
        elif one.low != -one.high:
            found.append(("low", *off_centre(one.low, one.high)))
        names.append(one.name)
        for field, message, hint in found:
            yield Problem("C2F382", ("data", "own", i, field), message, hint)


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    check_data_sets,
    check_splits,
    check_render_seed,
    check_duplicates,
    check_imported_predictions,
    check_not_empty,
    check_chains,
    check_score_replacement,
    check_checkpoints,
    check_rewards,
    check_tags,
    check_leaks,
    check_label_decimals,
    check_decoding,
    check_hypothesis,
    check_tables,
    check_user_data_sets,
)
