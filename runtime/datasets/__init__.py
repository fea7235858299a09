"""The readers of data sets, by `Dataset.reader` of `c2f_spec.spec.datasets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from runtime.datasets import icwsm2014, own, thuiar
from runtime.datasets.own import check_declared as check_declared
from runtime.datasets.own import find_dataset as find_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.datasets.rows import Row


class Reader(Protocol):
    """A module that reads the files of a family of data sets."""

    FILES: dict[str, str]
    """The file of each data set, by the data set's name."""
    LICENCE: str
    SOURCE: str

    def read(self, name: str, folder: Path) -> list[Row]:
        """Every row of data set `name` from its files in `folder`; `DataWrong` with file and line."""
        ...


class RecordingReader(Reader, Protocol):
    """One whose clips are recordings."""

    def read_table(self, name: str, folder: Path) -> tuple[list[Row], list[str]]:
        """The rows that are right, and what is wrong with the others; `DataWrong` for what is no table at all."""
        ...

    def clip_path(self, name: str, folder: Path, row: Row) -> Path:
        """The file of a clip; `DataWrong` if there is none."""
        ...


DATASETS: dict[str, Reader] = {"icwsm2014": icwsm2014, "own": own, "thuiar": thuiar}
RECORDED: dict[str, RecordingReader] = {"own": own, "thuiar": thuiar}
