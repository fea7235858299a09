"""The forms of answers that are more than a table. Text of specs is escaped in one place for each form:

the terminal `errors.printable`, Markdown `report.text`, Mermaid `forms.mermaid`, annotations `cli.formats`.
"""
