"""The command `c2f-spec`: a module for each verb or job, `arguments`, `output`, `workspace`. Only this package prints.

Text of a spec may come from a stranger. One function for each form makes it harmless: `errors.sanitize` for terminals
and logs, `diagnostics.render.json_text` for JSON, `as_github` there for annotations, `report.markup.inline` for
Markdown, `cli.plan_output.escape_label` for charts.
"""
