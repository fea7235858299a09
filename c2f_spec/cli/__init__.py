"""The command `c2f-spec`: one module a verb, beside `arguments`, `output` and `workspace`. Only this package prints."""
