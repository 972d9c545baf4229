"""The ways from an HTML page to its text, by name. `contained` runs them where a hostile page can do no harm.

- `all`: the whole visible text, for refiners that decide line by line (`page_text`).
- `main`: the main content by resiliparse's rules, in the same shape.
- `trafilatura`: what FineWeb's extraction gives (`trafilatura_text`); needs the package trafilatura.

Knows names and where the functions are; imports none of their packages.
"""

from __future__ import annotations

from importlib.util import find_spec

from spark_prox.errors import SetupError
from spark_prox.sources.page_text import main_text, page_text
from spark_prox.sources.trafilatura_text import trafilatura_text
from spark_prox.sources.warc.contents import HtmlToText

__all__ = ["EXTRACTS", "check_extract", "extract_function"]

_FUNCTIONS: dict[str, HtmlToText] = {"all": page_text, "main": main_text, "trafilatura": trafilatura_text}
EXTRACTS = tuple(_FUNCTIONS)


def extract_function(name: str) -> HtmlToText:
    """The function of a way: payload and declared charset to text."""
    return _FUNCTIONS[name]


def check_extract(name: str) -> None:
    """Raise EXTRACT_MISSING where the package of a way is not installed."""
    if name == "trafilatura" and find_spec("trafilatura") is None:
        raise SetupError(
            "EXTRACT_MISSING",
            "input.extract is 'trafilatura', and the package trafilatura is not installed here.",
            "Install it for the driver and the executors: pip install 'spark_prox[extract]'.",
        )
