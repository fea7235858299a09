"""The forms of answers that are more than a table. Text of specs is escaped in one place for each form:

the terminal and logs `errors.printable`, JSON `forms.json_text`, Markdown `report.text`, Mermaid `forms.mermaid`,
annotations `cli.formats`.
"""
