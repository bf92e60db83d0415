"""Compiled functions, kept on disk where there is a place to keep them.

Numba keeps compiled code beside the source or in the user's cache folder. Where neither can be written, as
in a container with a read-only file system, it would refuse to go on; here each process then compiles anew.
``NUMBA_CACHE_DIR`` names a folder of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` that does without its cache where it has no place for one.

    Examples
    --------
    >>> @njit(nogil=True)
    ... def twice(x):
    ...     return 2 * x
    >>> twice(21)
    42
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError:  # no locator available
            return numba.njit(**{**options, "cache": False})(function)

    return compiled
