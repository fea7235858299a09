"""Codes 5xx: templates, inheritance, sweeps, and `--set`."""

from __future__ import annotations

from c2f_spec.diagnostics.codes.entry import Entry

ENTRIES: dict[str, Entry] = {
    "C2F501": Entry(
        "not the name of a file",
        "`extends` names one file or an ordered list of files, `template` one file; names are relative to the folder of the file that says them.",
    ),
    "C2F502": Entry(
        "no such file",
        "The file that a spec builds on does not exist. Its name is relative to the folder of the file that names it.",
    ),
    "C2F503": Entry(
        "outside the repository",
        "A spec builds only on files of its own repository, named relative to its folder: what a reviewer does not see must not change what runs. Links are followed before this is judged.",
    ),
    "C2F504": Entry(
        "files in a circle",
        "A file builds on itself, directly or through others, so that what it says would never be found.",
    ),
    "C2F505": Entry(
        "too long a chain",
        "Files build on each other in a chain of more than 16. Nobody can follow that; merge some of them.",
    ),
    "C2F506": Entry(
        "template and extends together",
        "A file builds on a template or on other files. To have both, let the file that is built on use the template.",
    ),
    "C2F507": Entry(
        "a base named twice",
        "The same file stands twice in `extends`; the second changes nothing that the order does not already say.",
    ),
    "C2F508": Entry(
        "a base that cannot be read",
        "The file exists, but may not be opened, or is larger than a spec may be; the message says which.",
    ),
    "C2F509": Entry(
        "too many or too large files",
        "A spec and what it builds on are at most 64 files and a million bytes together.",
    ),
    "C2F510": Entry(
        "too many bases",
        "`extends` names more than 64 files, and a spec and what it builds on are at most 64 together; merge some.",
    ),
    "C2F511": Entry(
        "params is not a map",
        "`params` declares parameters by name: `params: {beta: {kind: float, default: 0.1}}`.",
    ),
    "C2F512": Entry(
        "no kind of parameter",
        "A parameter has a kind, int, float, str, bool or choice, so that a wrong value is refused where it is given.",
    ),
    "C2F513": Entry(
        "a bound that has no meaning", "`min` and `max` are numbers, and belong to the kinds int and float."
    ),
    "C2F514": Entry(
        "no such parameter",
        "`with` gives, or `${params.x}` uses, a parameter that the file does not declare.",
    ),
    "C2F515": Entry(
        "a parameter without a value",
        "The template declares a parameter without a default, and neither `with`, nor `--set params.x=...`, nor an axis of the sweep gives it a value.",
    ),
    "C2F516": Entry(
        "an unused parameter",
        "A declared parameter that no `${params.x}` names would be accepted and ignored.",
    ),
    "C2F517": Entry(
        "a parameter of another kind",
        "The value given to a parameter is not of the kind that it is declared with.",
    ),
    "C2F518": Entry(
        "a parameter out of bounds",
        "The value given to a parameter is not among its choices, or not between its bounds.",
    ),
    "C2F519": Entry(
        "a parameter within a longer text",
        "A parameter is a whole value. A text made of pieces has no single place that a message could point to; declare a parameter that holds all of it.",
    ),
    "C2F520": Entry(
        "with, but no template",
        "`with` gives the parameters of a template their values; it is a map, and needs `template`.",
    ),
    "C2F521": Entry(
        "not a setting",
        "`--set` takes `path.of.field=value`. The value is YAML of one line; `null` removes a section. What a spec builds on is read before and cannot be set.",
    ),
    "C2F522": Entry(
        "a path into a list",
        "Lists are replaced as a whole: their items have no names that a path could use.",
    ),
    "C2F523": Entry(
        "set twice",
        "`--set` sets what an axis of the sweep sets as well. One of the two would have no effect.",
    ),
    "C2F525": Entry(
        "a wrong declaration",
        "A parameter is declared by a map of `kind`, `default`, `min`, `max`, `choices` and `description`.",
    ),
    "C2F526": Entry(
        "bounds that exclude everything",
        "`max` is below `min`, so that no value, not even a default, could ever be given.",
    ),
    "C2F527": Entry(
        "choices and kind", "Kind `choice` needs a list of values in `choices`, and no other kind takes it."
    ),
    "C2F528": Entry(
        "no such parameter to set",
        "`params.x` in a sweep or `--set` is a parameter that the spec or what it builds on declares.",
    ),
    "C2F529": Entry(
        "a parameter without effect",
        "Every field that the parameter sets is set again by a later file, so a value for it would change nothing.",
    ),
    "C2F530": Entry(
        "an axis is a list", "An axis of `matrix`, `zip` or `ablate` is a list of values with at least one."
    ),
    "C2F531": Entry(
        "an unknown field of sweep",
        "`sweep` has matrix, zip, include, exclude, variants, ablate, seeds and max_variants.",
    ),
    "C2F532": Entry(
        "a part of another form",
        "matrix, zip, variants and ablate are maps; include, exclude and seeds are lists.",
    ),
    "C2F533": Entry(
        "zip of different lengths", "Axes of `zip` move together, so they have the same number of values."
    ),
    "C2F534": Entry(
        "not a point",
        "include and exclude list maps from paths to values, for example `- {sft.epochs: 3, seed: 1}`.",
    ),
    "C2F535": Entry(
        "nothing to exclude",
        "No combination has the values of this entry, so it is a mistake, or what is left of an old one.",
    ),
    "C2F536": Entry(
        "not a seed",
        "`seeds` repeats every variant with other seeds, and a seed is a whole number, as in the field `seed`.",
    ),
    "C2F537": Entry(
        "not a number of variants",
        "`max_variants` is from 1 to 10,000; it is 64 unless said, so that no sweep is large by accident.",
    ),
    "C2F538": Entry(
        "too many variants",
        "The sweep would make more variants than `max_variants`, or than 10,000 combinations. Sizes are multiplied before anything is made.",
    ),
    "C2F539": Entry(
        "no variant",
        "The sweep has no axis, or excludes everything; without `sweep` the spec is a single experiment.",
    ),
    "C2F540": Entry(
        "two variants of one name",
        "Names come from the labels of axes, at most 40 characters. These two come out equal; give them names under `sweep.variants`.",
    ),
    "C2F541": Entry(
        "two axes on one field", "One axis sets a field, or a part of a section, that another sets as well."
    ),
    "C2F542": Entry(
        "not a path to sweep",
        "An axis is a dotted path of fields. The version, the name and what a spec builds on cannot be swept; parameters are `params.x`.",
    ),
    "C2F543": Entry(
        "not a name of a variant",
        "Lower-case letters, digits and dashes, at most 40: it becomes part of names of jobs and objects.",
    ),
    "C2F544": Entry("excluded, but no axis", "`exclude` names a path that is no axis of `matrix` or `zip`."),
    "C2F545": Entry(
        "a value twice in an axis",
        "Two equal values of one axis would be two equal variants; `0.1` equals `0.10`.",
    ),
    "C2F546": Entry(
        "not a variant", "A variant is a map from paths to values; `{}` is the base under a name."
    ),
    "C2F547": Entry(
        "too many axes",
        "A sweep has at most 100 axes. So many cannot be told apart in results; split it into several.",
    ),
    "C2F548": Entry(
        "too much to exclude", "So many exclusions of so many combinations are not looked through."
    ),
    "C2F549": Entry(
        "a seed twice",
        "Two equal seeds would be two equal variants: the same run counted twice makes results look steadier.",
    ),
    "C2F550": Entry(
        "a field that has another name",
        "What a spec builds on is `extends` or `template`, its parameters are `params`, and everything that makes variants is under `sweep`.",
    ),
    "C2F551": Entry(
        "an ablation that changes nothing",
        "The value means the same as the base's. Compared after defaults and short forms are resolved.",
    ),
    "C2F552": Entry(
        "an ablation that changes more",
        "The variant differs from the base in another field than the factor that it names, so a difference in results could not be attributed. Say such a variant under `sweep.variants`.",
    ),
}
