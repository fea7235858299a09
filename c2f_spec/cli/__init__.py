"""The command `c2f-spec`: one module a verb, beside `arguments`, `output` and `workspace`. Only this package prints.

Text of a spec may come from a stranger. One function for each form makes it harmless: `errors.sanitize` for terminals
and logs, `diagnostics.render.json_text` for JSON, `as_github` there for annotations, `report.markup.inline` for
Markdown, `cli.plan_output.escape_label` for charts.
"""
