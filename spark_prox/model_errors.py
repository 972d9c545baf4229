"""The errors of fetching a model by its name, said in the same words whether it lies on the hub or in a store.

Knows neither: a caller says what went wrong, this module which code that is and what to do about the disk.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spark_prox.errors import ModelError

__all__ = ["FetchErrors"]

_RESERVE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class FetchErrors:
    """The errors of one model.

    Attributes:
        shown: the model in messages.
        cache_setting: the environment variable that says where fetched files are kept.
    """

    shown: str
    cache_setting: str

    def missing(self, what: str, todo: str) -> ModelError:
        """The name means nothing."""
        return ModelError("MODEL_NOT_FOUND", what, todo)

    def refused(self, who: str, todo: str) -> ModelError:
        """The hub or the store says no to this user."""
        return ModelError("MODEL_GATED", f"{who} does not give {self.shown!r} to this user.", todo)

    def unreachable(self, why: str, todo: str) -> ModelError:
        """Nothing answers, or not as expected."""
        return ModelError("MODEL_OFFLINE", f"{self.shown!r} is not in this host's cache and {why}.", todo)

    def no_space(self, why: str) -> ModelError:
        """The cache's disk is full, or would be."""
        name = self.cache_setting
        return ModelError(
            "MODEL_NO_SPACE",
            f"There is no room for {self.shown!r}: {why}.",
            f"Free space, or set {name} to a larger disk (on the executors: spark.executorEnv.{name}).",
        )

    def check_space(self, size: int, folder: Path) -> None:
        """Raise MODEL_NO_SPACE unless so many bytes fit into a folder's disk."""
        free = shutil.disk_usage(folder).free
        if size and size + _RESERVE_BYTES > free:
            raise self.no_space(f"{size:,} bytes to download, {free:,} free in {str(folder)!r}")

    @contextmanager
    def told(self, reason: Callable[[Exception], ModelError]) -> Iterator[None]:
        """Tell what a client raises as one error with a code: a full disk's own, else the one that `reason` gives."""
        try:
            yield
        except ModelError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self.no_space("the disk is full") from error
            raise reason(error) from error
