"""Rules between sections (METHOD 3, 6.4, 8.4). A rule is a function that yields problems; lists run them.

Here are those on data, pipeline and evaluation; `rules_teacher`, `rules_training`, `rules_hint` and `rules_media` have the
others.

Rules look at the experiment alone. What depends on the place (demo-only parts, what the runtime can do) is asked
when a plan is made for an environment: `c2f_spec/plan/compile.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from c2f_spec.diagnostics.diagnostic import Problem
from c2f_spec.language import checks_hint, checks_teacher, checks_training
from c2f_spec.language.suggestions import suggest
from c2f_spec.spec.datasets import DATASETS
from c2f_spec.spec.evaluate import CHECKPOINTS
from c2f_spec.spec.own_data import off_centre
from c2f_spec.spec.reporting import METRICS, TABLES
from c2f_spec.spec.sections import Dc, Direct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from c2f_spec.spec.experiment import Experiment
    from c2f_spec.spec.reporting import OwnTable


__all__ = ["RULES", "Problem", "check"]


def check(experiment: Experiment) -> list[Problem]:
    """Every problem that the rules find."""
    rules = (*RULES, *checks_teacher.RULES, *checks_training.RULES, *checks_hint.RULES)
    return [problem for rule in rules for problem in rule(experiment)]


def data_sets_exist(e: Experiment) -> Iterator[Problem]:
    named: list[tuple[tuple[str | int, ...], str]] = [(("data", "train"), e.data.train)]
    named += [
        (("evaluate", "datasets", i), n) for i, n in enumerate(e.evaluate.datasets if e.evaluate else ())
    ]
    for loc, name in named:
        if name not in e.data.known:
            yield Problem("C2F301", loc, f"no data set `{name}`", suggest(name, list(e.data.known)))


def data_sets_have_the_splits(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    trains = e.teacher is not None or e.sft is not None or e.grpo is not None
    if train and trains and "train" not in train.splits:
        able = [d.name for d in e.data.known.values() if "train" in d.splits]
        yield Problem(
            "C2F302", ("data", "train"), f"`{train.name}` has no training split", f"one of {', '.join(able)}"
        )


def rendering_belongs_to_rendered_data(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    rendered = [n for n in (e.data.train, *(e.evaluate.datasets if e.evaluate else ())) if n in e.data.known]
    if train and e.data.render_seed is not None and not any(e.data.known[n].rendered for n in rendered):
        message = f"`render_seed` has no use: the clips of `{train.name}` are recorded, not drawn"
        yield Problem("C2F303", ("data", "render_seed"), message, "remove it", at_key=True)


def nothing_is_named_twice(e: Experiment) -> Iterator[Problem]:
    if e.evaluate is None:
        return
    for field in ("checkpoints", "datasets"):
        values = getattr(e.evaluate, field)
        for i, value in enumerate(values):
            if value in values[:i]:
                yield Problem(
                    "C2F304", ("evaluate", field, i), f"`{value}` stands twice", "remove one of them"
                )


def imports_have_a_row_and_a_cell(e: Experiment) -> Iterator[Problem]:
    """Predictions are of a test set that is evaluated; a model has one set of them for each, and a name of its own."""
    if e.evaluate is None:
        return
    evaluated, found, seen = list(e.evaluate.datasets), [], set()
    for i, each in enumerate(e.evaluate.imported):
        if each.dataset not in evaluated:
            message = f"predictions on `{each.dataset}`, which is not evaluated"
            found.append((i, "dataset", message, suggest(each.dataset, evaluated)))
        if each.name in CHECKPOINTS:
            message = f"`{each.name}` is what a checkpoint of ours is called"
            found.append((i, "name", message, "call it by its model"))
        if (each.name, each.dataset) in seen:
            found.append((i, "name", f"`{each.name}` on `{each.dataset}` stands twice", "remove one of them"))
        seen.add((each.name, each.dataset))
    for i, field, message, hint in found:
        yield Problem("C2F378", ("evaluate", "import", i, field), message, hint)


def something_is_to_be_done(e: Experiment) -> Iterator[Problem]:
    if not (e.teacher or e.sft or e.grpo or e.evaluate):
        yield Problem(
            "C2F305",
            ("name",),
            "nothing to run",
            "add a section: teacher, sft, grpo or evaluate",
            at_key=True,
        )


def chains_have_a_source_and_a_use(e: Experiment) -> Iterator[Problem]:
    direct = isinstance(e.format, Direct)
    if direct and e.teacher:
        message = "`format: direct` has no chain of thought for a teacher to write"
        yield Problem(
            "C2F306", ("teacher",), message, "remove `teacher` and `filters`, or use format c2f", at_key=True
        )
    if e.filters and not e.teacher:
        yield Problem(
            "C2F307", ("filters",), "nothing to filter: there is no teacher", "add `teacher`", at_key=True
        )
    if e.teacher and not e.filters:
        hint = "add `filters: {polarity_match: {}}`, the least that the paper does"
        yield Problem("C2F308", ("teacher",), "a teacher's chains must pass filters", hint, at_key=True)
    if e.sft and not direct and not e.teacher:
        hint = "add `teacher` and `filters`, or use `format: direct`"
        yield Problem(
            "C2F309",
            ("sft",),
            "fine-tuning on chains of thought needs a teacher that writes them",
            hint,
            at_key=True,
        )


def labels_replace_only_matching_scores(e: Experiment) -> Iterator[Problem]:
    if e.filters and e.filters.replace_score_with_label and e.filters.polarity_match is None:
        message = "replacing the score by the label can write a chain that argues the other polarity"
        yield Problem(
            "C2F310",
            ("filters",),
            message,
            "add `polarity_match: {}`, or set `replace_score_with_label: false`",
            at_key=True,
        )


def checkpoints_are_made(e: Experiment) -> Iterator[Problem]:
    for i, checkpoint in enumerate(e.evaluate.checkpoints if e.evaluate else ()):
        if checkpoint != "base" and getattr(e, checkpoint) is None:
            message = f"checkpoint `{checkpoint}`, but there is no section `{checkpoint}`"
            yield Problem(
                "C2F311", ("evaluate", "checkpoints", i), message, f"add `{checkpoint}:`, or remove it here"
            )


def rewards_fit_the_format(e: Experiment) -> Iterator[Problem]:
    if e.grpo is None:
        return
    on = [r for r in (e.grpo.rewards.format, e.grpo.rewards.polarity, e.grpo.rewards.score) if r is not None]
    if sum(r.weight for r in on) <= 0:
        yield Problem("C2F312", ("grpo", "rewards"), "no reward has a weight", "give one a weight above 0")
    if isinstance(e.format, Direct):
        message = "`format: direct` has no polarity that could be rewarded or hinted"
        yield Problem("C2F313", ("grpo",), message, "use format c2f, or remove `grpo`", at_key=True)


def tags_differ(e: Experiment) -> Iterator[Problem]:
    if isinstance(e.format, Dc):
        names = [e.format.polarity_tag, e.format.think_tag, e.format.score_tag]
        if len(set(names)) < len(names):
            yield Problem(
                "C2F317",
                ("format",),
                "two tags have the same name",
                "give each a name of its own",
                at_key=True,
            )


def evaluation_does_not_leak(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    for i, name in enumerate(e.evaluate.datasets if e.evaluate else ()):
        if name not in e.data.known or train is None:
            continue
        if train.name in e.data.known[name].contains:
            message = f"`{name}` contains `{train.name}`: neither in-domain nor out-of-domain"
        elif name in train.contains:
            message = f"`{train.name}`, which is trained on, contains clips of `{name}`"
        else:
            continue
        hint = "read its cell with that in mind"
        yield Problem("C2F318", ("evaluate", "datasets", i), message, hint, severity="warning")


def targets_keep_the_labels(e: Experiment) -> Iterator[Problem]:
    train = e.data.known.get(e.data.train)
    if train and (e.sft or e.grpo) and e.format.label_decimals < train.decimals:
        yield Problem(
            "C2F319",
            ("format",),
            f"labels of `{train.name}` need {train.decimals} decimals, targets have {e.format.label_decimals}",
            f"set `label_decimals: {train.decimals}`",
            severity="warning",
            at_key=True,
        )


def evaluation_heeds_its_fields(e: Experiment) -> Iterator[Problem]:
    decoding = e.evaluate.decoding if e.evaluate else None
    if decoding and decoding.temperature == 0 and decoding.top_p < 1:
        message = "`top_p` has no use: at temperature 0 decoding is greedy"
        hint = "remove it, or set a temperature"
        yield Problem("C2F320", ("evaluate", "decoding", "top_p"), message, hint, at_key=True)


def claims_can_be_judged(e: Experiment) -> Iterator[Problem]:
    """A hypothesis needs a cell with its metric, a table needs a model trained on what the table's were."""
    if (e.hypothesis or e.tables) and e.evaluate is None:
        name = "hypothesis" if e.hypothesis else "tables"
        message = f"`{name}` without `evaluate`: there will be no numbers"
        yield Problem("C2F321", (name,), message, "add `evaluate`", at_key=True)
    elif e.hypothesis and e.evaluate:
        name = e.hypothesis.dataset or e.data.train
        if name not in e.evaluate.datasets:
            message = f"the hypothesis is about `{name}`, which is not evaluated"
            hint = "add it to `evaluate.datasets`, or name another `dataset`"
            yield Problem("C2F322", ("hypothesis", "dataset"), message, hint)
        elif name in e.data.known and e.hypothesis.metric not in METRICS[e.data.known[name].family]:
            known = ", ".join(METRICS[e.data.known[name].family])
            message = f"`{name}` has no {e.hypothesis.metric}"
            yield Problem("C2F323", ("hypothesis", "metric"), message, f"one of {known}")
    for i, table in enumerate(e.tables):
        if table.kind != "own" and TABLES[table.kind] != e.data.train:
            trained = TABLES[table.kind]
            message = f"the models of table {table.kind} were trained on `{trained}`, not on `{e.data.train}`"
            yield Problem("C2F324", ("tables", i), message, "remove it here")


def tables_have_numbers(e: Experiment) -> Iterator[Problem]:
    """A column names a data set that there is, and metrics of its family; two tables have two names."""
    own = [(i, table) for i, table in enumerate(e.tables) if table.kind == "own"]
    names = [table.name for _, table in own]
    for place, (i, table) in enumerate(own):
        found = _wrong_columns(e, table)
        if table.name in names[:place]:
            found = [(("name",), f"a second table `{table.name}`", "give it another name"), *found]
        for loc, message, hint in found:
            yield Problem("C2F379", ("tables", i, *loc), message, hint)


def _wrong_columns(e: Experiment, table: OwnTable) -> list[tuple[tuple[str | int, ...], str, str]]:
    """Place in the table, message and hint."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    for j, column in enumerate(table.columns):
        name = column.dataset
        if name not in e.data.known:
            hint = suggest(name, list(e.data.known))
            found.append((("columns", j, "dataset"), f"no data set `{name}`", hint))
            continue
        has = METRICS[e.data.known[name].family]
        found += [
            (("columns", j, "metrics", k), f"`{name}` has no {metric}", f"one of {', '.join(has)}")
            for k, metric in enumerate(column.metrics)
            if metric not in has
        ]
    return found


def own_data_sets_are_others(e: Experiment) -> Iterator[Problem]:
    names: list[str] = []
    for i, one in enumerate(e.data.own):
        found = []
        if one.name in DATASETS:
            found.append(("name", f"`{one.name}` is a data set that is known by name", "give yours another"))
        if one.name in names:
            found.append(("name", f"a second data set `{one.name}`", "give it another name"))
        if one.low >= one.high:
            hint = "`low` is the least label, `high` the greatest"
            found.append(("low", f"labels go from {one.low:g} to {one.high:g}", hint))
        elif one.low != -one.high:
            found.append(("low", *off_centre(one.low, one.high)))
        names.append(one.name)
        for field, message, hint in found:
            yield Problem("C2F382", ("data", "own", i, field), message, hint)


RULES: tuple[Callable[[Experiment], Iterator[Problem]], ...] = (
    data_sets_exist,
    data_sets_have_the_splits,
    rendering_belongs_to_rendered_data,
    nothing_is_named_twice,
    imports_have_a_row_and_a_cell,
    something_is_to_be_done,
    chains_have_a_source_and_a_use,
    labels_replace_only_matching_scores,
    checkpoints_are_made,
    rewards_fit_the_format,
    tags_differ,
    evaluation_does_not_leak,
    targets_keep_the_labels,
    evaluation_heeds_its_fields,
    claims_can_be_judged,
    tables_have_numbers,
    own_data_sets_are_others,
)
