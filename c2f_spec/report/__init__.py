"""Report what a store holds of a plan: `collect` reads, `outline` describes as blocks, `html` and `markdown` render.

Finding and showing are apart: `Report` is data, and the same store content gives the same bytes. There is no clock here;
times come from records. A stage that has not run, or failed, appears with its
reason, so that a partial report is honest.
"""
