"""The tree of blocks that a page consists of, without any markup: what `html` and `markdown` render.

A function that describes a section of a page returns blocks; a renderer knows blocks and nothing of sections. All text in
blocks is raw: escaping is the renderers' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from c2f_spec.report.markup import Html

    Texts = Sequence["Cell | str"]
    """The cells of a row without a style; a text is a cell of its column's kind."""

Kind = Literal["words", "number", "code", "state", "soft"]
"""The content of a cell. A state is the reason why there is no value; soft words are printed faintly."""


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2
    anchor: str = ""
    link: str = ""
    """Words of the link to this heading at the top of the page; empty for none."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    style: Literal["", "lead", "about", "soft"] = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Sentences that a reader must not miss."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """Remarks on what stands above."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """The reason why there is nothing to show."""

    state: str


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    language: str = "text"


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    kind: Kind | None = None
    """Overrides that of the column."""
    interval: str = ""
    under: str = ""
    """A second line."""
    title: str = ""
    """Shown on the page when the pointer rests on the cell."""
    full: str = ""
    """The whole of a text that the page abbreviates: its title there, its text in Markdown."""


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    kind: Kind = "words"
    wrap: Literal["", "wide", "narrow"] = ""
    """Whether words may break into lines, and how wide the column then is."""
    interval: bool = False
    """Intervals stand in a column of their own, so that the digits of all rows are below each other."""
    apart: bool = False
    """A gap parts the column from the one before it."""
    group: str = ""
    """Title over neighbouring columns that have it."""
    collapse: bool = False
    """The page leaves the cell empty where this and all columns before it repeat the row above."""


@dataclass(frozen=True, slots=True)
class Row:
    """The first cell names the row. The last cell of a row with too few cells spans the columns that are left."""

    cells: tuple[Cell, ...]
    minor: bool = False
    """A row to compare with, such as a baseline."""
    ruled: bool = False
    """A line stands above it, as above a sum."""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture that is drawn only where it is shown."""

    draw: Callable[[], Html]
    title: str = ""
    caption: str = ""
    legend: tuple[str, ...] = ()
    lines: bool = False
    """Whether the legend explains lines, not areas."""


@dataclass(frozen=True, slots=True)
class Charts:
    """Figures and the table of their numbers; Markdown has the table alone."""

    figures: tuple[Figure, ...]
    table: Table | None = None
    layout: Literal["grid", "smoothed", "beside", "timeline"] = "grid"
    """`smoothed`: a grid of curves with one slider. `beside`: a figure with the table beside it; else the page has no table."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A clip and a text about it."""

    name: str
    title: str
    quote: str
    body: str
    picture: bytes | None
    """JPEG."""
    no_picture: str
    """The reason why there is no picture."""


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that the page folds away; in Markdown they stand under a heading of `level`."""

    summary: str
    blocks: tuple[Block, ...]
    level: int = 4


@dataclass(frozen=True, slots=True)
class PageOnly:
    """Blocks that Markdown leaves out, because their numbers stand elsewhere or they need a script."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Interactive:
    """A place that a script of the page fills from data blocks."""

    place: str
    """The element's id, by which the script finds it."""
    scripts: tuple[str, ...]
    data: Callable[[], Iterable[tuple[str, Any]]]
    """Return name and JSON value of each data block; only the HTML renderer calls it."""


Block = (
    Heading
    | Paragraph
    | Note
    | Bullets
    | Missing
    | Code
    | Table
    | Charts
    | Excerpt
    | Details
    | PageOnly
    | Interactive
)


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    blocks: tuple[Block, ...]
    footer: str = ""


def table(columns: Sequence[Column], rows: Iterable[Texts | Row]) -> Table:
    return Table(tuple(columns), tuple(r if isinstance(r, Row) else row(r) for r in rows))


def row(cells: Iterable[Cell | str], *, minor: bool = False, ruled: bool = False) -> Row:
    return Row(tuple(c if isinstance(c, Cell) else Cell(c) for c in cells), minor, ruled)


def words(*titles: str) -> tuple[Column, ...]:
    """Return a column of words for each title."""
    return tuple(Column(title) for title in titles)


def numeric(*titles: str) -> tuple[Column, ...]:
    """Return a column of numbers for each title."""
    return tuple(Column(title, "number") for title in titles)


def fold_many(groups: Sequence[tuple[str, tuple[Block, ...]]], most: int, level: int = 3) -> list[Block]:
    """Return each group of blocks under its heading, or folded away where there are more than `most` groups."""
    if len(groups) > most:
        return [Details(title, blocks, level) for title, blocks in groups]
    return [block for title, blocks in groups for block in (Heading(title, level), *blocks)]
