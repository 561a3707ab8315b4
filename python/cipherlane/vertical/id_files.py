"""CSV files whose rows are picked and put in order by id, every other cell as it was."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cipherlane.vertical.identifiers import IdRules
from cipherlane.vertical.tables import column_position


@dataclass(frozen=True, repr=False)
class IdFile:
    """The cells of a CSV file with a column of ids.

    Attributes
    ----------
    source
        The file, for messages.
    header
        Names of the columns.
    rows
        All cells as text.
    position
        Where in a row its id stands.
    """

    source: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    position: int

    @classmethod
    def read(cls, path: Path, id_column: str) -> IdFile:
        """Read a UTF-8 CSV file with a header line.

        Raises
        ------
        ValueError
            The file is not there, is no such CSV, lacks the column, or a row has too many or few cells.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                lines = [tuple(line) for line in csv.reader(stream, strict=True) if line]
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; give the CSV file whose ids are to be aligned") from None
        except (IsADirectoryError, PermissionError) as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror}); give a readable CSV file") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"{path}: not valid CSV ({error}); check its quotes") from None
        if len(lines) < 2:
            raise ValueError(f"{path}: expected a header line and rows, got {len(lines)} lines")
        header = tuple(name.strip() for name in lines[0])
        for number, row in enumerate(lines[1:], start=1):
            if len(row) != len(header):
                raise ValueError(f"{path}: row {number}: expected {len(header)} cells as in the header, got {len(row)}")
        return cls(
            str(path), header, tuple(lines[1:]), column_position(str(path), list(header), id_column, "id column")
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids as they stand in the file."""
        return tuple(row[self.position] for row in self.rows)

    def write_aligned(self, path: Path, common: Sequence[str], rules: IdRules) -> None:
        """Write the rows of the ids in `common`, in that order, their ids normalised.

        Raises
        ------
        FileExistsError
            There is such a file already.
        """
        rows = dict(zip(rules.apply(self.ids, self.source), self.rows, strict=True))
        with path.open("x", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(self.header)
            for name in common:
                row = list(rows[name])
                row[self.position] = name
                writer.writerow(row)
