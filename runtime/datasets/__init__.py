"""The readers of data sets, by `Dataset.reader` of `c2f_spec.spec.datasets`. How to add one: CONTRIBUTING, "A data set".

labelled_rows.py  what readers share: the row, a CSV table, splits and limits by hash
thuiar.py         CH-SIMS, CH-SIMS v2, CMU-MOSI, CMU-MOSEI
icwsm2014.py      rated sentences, whose clips are rendered
user_folder.py    a user's own clips with a table and a header that states language and score range
copy_check.py     `data check`: a copy compared with what is published
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.datasets import icwsm2014, thuiar, user_folder
from runtime.datasets.user_folder import check_declared as check_declared
from runtime.datasets.user_folder import find_dataset as find_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.datasets.labelled_rows import LabelledRow


class DatasetReader(Protocol):
    """A module that reads the files of a family of data sets."""

    FILES: dict[str, str]
    """File of each data set by the data set's name."""
    LICENCE: str
    SOURCE: str

    def read(self, name: str, folder: Path) -> list[LabelledRow]:
        """Return every row of data set `name` from its files in `folder`. Raises `InvalidData` with file and line."""
        ...


class RecordingReader(DatasetReader, Protocol):
    """A reader whose clips are recordings."""

    def read_table(self, name: str, folder: Path) -> tuple[list[LabelledRow], list[str]]:
        """Return the valid rows and the problems of the others. Raises `InvalidData` if the table cannot be read."""
        ...

    def clip_path(self, name: str, folder: Path, row: LabelledRow) -> Path:
        """Return the file of a clip. Raises `InvalidData` if it is not found."""
        ...


DATASETS: dict[str, DatasetReader] = {"icwsm2014": icwsm2014, "thuiar": thuiar, "user_folder": user_folder}
RECORDED: dict[str, RecordingReader] = {"thuiar": thuiar, "user_folder": user_folder}
