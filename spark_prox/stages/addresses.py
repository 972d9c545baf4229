"""Normalise the addresses of pages, as a column: what only looks different is one address afterwards.

Two addresses are one that differ in: http and https, upper case in the host, `www.`, a default port, a user, a
fragment, a slash at the end, the order of query parameters, and parameters that only count visitors. Knows no table.
"""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

__all__ = ["normal_address", "normal_host"]

_PARTS = r"^[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)([^?#]*)(\??[^#]*)"
_TRACKING = r"^(utm_[a-z_]*|fbclid|gclid|dclid|msclkid|yclid|mc_[ce]id|igshid|_ga|_hsenc|_hsmi|ref_src)(=|$)"


def normal_address(url: Column) -> Column:
    """The address, normalised; null for what is no address with a host."""
    host = _host(url)
    path = F.regexp_replace(F.regexp_extract(url, _PARTS, 2), r"/+$", "")
    query = F.regexp_replace(F.regexp_extract(url, _PARTS, 3), r"^\?", "")
    wanted = F.filter(F.split(query, "&"), lambda part: (part != "") & ~part.rlike(_TRACKING))
    parameters = F.array_join(F.array_sort(wanted), "&")
    return F.when(host != "", F.concat_ws("?", F.concat(host, path), F.nullif(parameters, F.lit(""))))


def normal_host(url: Column) -> Column:
    """The host of the normal address; null where there is none."""
    return F.nullif(_host(url), F.lit(""))


def _host(url: Column) -> Column:
    host = F.lower(F.regexp_extract(url, _PARTS, 1))
    host = F.regexp_replace(F.regexp_replace(host, r"^.*@", ""), r":(80|443)$", "")
    return F.regexp_replace(F.regexp_replace(host, r"\.$", ""), r"^www\.", "")
