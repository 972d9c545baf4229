"""Reads a file over HTTP forward, and goes on where the connection broke.

A request that fails, or is told to slow down, is repeated with growing pauses; a download that breaks off goes on with
a range request. Knows nothing of what the file holds. Proxies come from the environment, as everywhere.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib3 import PoolManager

__all__ = ["HttpFile", "HttpFileError"]

ATTEMPTS = 6
PAUSE_S = 1.0
CONNECT_S, READ_S = 15.0, 60.0
BUSY = (429, 500, 502, 503, 504)
STEP_BYTES = 1 << 20


class HttpFileError(OSError):
    """A file that the server does not give."""


class HttpFile:
    """A file by its address. Nothing is asked of the server before the first read.

    Args:
        url: the address.
        attempts: requests in a row that may fail.
        pause_s: seconds after the first failure; twice as many after each further one.
    """

    def __init__(self, url: str, *, attempts: int = ATTEMPTS, pause_s: float = PAUSE_S) -> None:
        self._url = url
        self._attempts = attempts
        self._pause_s = pause_s
        self._at = 0
        self._pool: PoolManager | None = None
        self._response: Any = None
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, b"" at the end.

        Raises:
            HttpFileError: the server does not give them.
        """
        from urllib3.exceptions import HTTPError

        failures = 0
        while not self._ended and size:
            try:
                if self._response is None:
                    self._ended = not self._connect()
                    continue
                data: bytes = self._response.read(None if size < 0 else size)
            except (HTTPError, _BusyError) as error:
                self.close()
                failures += 1
                if failures >= self._attempts:
                    raise HttpFileError(f"{failures} requests failed, the last with {type(error).__name__}") from None
                time.sleep(min(self._pause_s * 2 ** (failures - 1), 60.0))
                continue
            self._at += len(data)
            self._ended = not data or size < 0
            return data
        return b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset from the beginning; the next read asks for the rest of the file."""
        if whence != 0:
            raise ValueError("offsets are counted from the beginning")
        if offset != self._at:
            self.close()
            self._at, self._ended = offset, False
        return offset

    def size(self) -> int | None:
        """Bytes of the file, None where the server does not say or does not give ranges of it."""
        response = self._manager().request("HEAD", self._url, headers={"Accept-Encoding": "identity"})
        length = response.headers.get("Content-Length", "")
        has_ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
        return int(length) if response.status == 200 and has_ranges and length.isdecimal() else None

    def close(self) -> None:
        """End the request in progress."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _connect(self) -> bool:
        """Ask for the file from the current offset on; False if it ends there."""
        headers = {"Accept-Encoding": "identity"}
        if self._at:
            headers["Range"] = f"bytes={self._at}-"
        response = self._manager().request(
            "GET", self._url, headers=headers, preload_content=False, decode_content=False
        )
        if response.status in BUSY:
            response.close()
            raise _BusyError
        if response.status == 416 and self._at:
            response.close()
            return False
        if response.status not in (200, 206):
            response.close()
            raise HttpFileError(f"HTTP status {response.status}")
        self._response = response
        left = self._at if response.status == 200 else 0  # the server knows no ranges
        while left:
            passed = len(response.read(min(left, STEP_BYTES)))
            if not passed:
                return False
            left -= passed
        return True

    def _manager(self) -> PoolManager:
        if self._pool is None:
            self._pool = _pool_for(self._url)
        return self._pool


class _BusyError(Exception):
    """The server asks to come back later."""


def _pool_for(url: str) -> PoolManager:
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    # Redirects only: failures are counted by `HttpFile`, which knows where to go on.
    retries = urllib3.Retry(total=5, connect=0, read=0, status=0, other=0, redirect=5, respect_retry_after_header=False)
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, timeout=timeout, retries=retries)
    return urllib3.PoolManager(timeout=timeout, retries=retries)
