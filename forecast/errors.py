"""One family of errors. Each says what is wrong, where, how many, and what to do.

The command line prints such an error as one line and exits with 1; anything else is a bug and keeps
its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class ForecastError(Exception):
    """Base of every error that a user can mend.

    Parameters
    ----------
    what : str
        What is wrong, in the user's words.
    where : str, optional
        File, row and column, or the argument.
    count : int, optional
        How many rows, customers or files are concerned.
    examples : sequence of str, optional
        At most a handful of examples; never personal data.
    advice : str, optional
        What to do about it.

    Examples
    --------
    >>> raise_me = InputError("frequency is negative", where="column 'frequency'", count=2,
    ...                       examples=["row 0: -1"], advice="count repeat purchases, from 0 up")
    >>> str(raise_me)
    "frequency is negative, in column 'frequency' (2 rows; row 0: -1). count repeat purchases, from 0 up"
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        count: int | None = None,
        examples: Sequence[str] = (),
        advice: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.count = count
        self.examples = tuple(examples)
        self.advice = advice
        super().__init__(self._message())

    def _message(self) -> str:
        text = self.what if self.where is None else f"{self.what}, in {self.where}"
        details = []
        if self.count is not None:
            details.append(f"{self.count:,} row{'' if self.count == 1 else 's'}")
        details.extend(self.examples)
        if details:
            text += " (" + "; ".join(details) + ")"
        if self.advice:
            text += f". {self.advice}"
        return " ".join(text.split())


class InputError(ForecastError, ValueError):
    """The data cannot be used as they are: files, frames, columns or rows."""


class ArgumentError(ForecastError, ValueError):
    """An option has a value that cannot be meant."""


class FitError(ForecastError, ValueError):
    """The data do not identify the model; no parameters are given."""


class StoreError(ForecastError):
    """A saved model or forecast is missing, damaged, or of another kind than asked for."""
