"""The parts of `make bench`: what each runs, what it needs, and which ones take hours. Runs nothing."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PARTS", "Needs", "Part", "chosen"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Needs:
    """The things that parts need and a machine may have.

    Attributes:
        datatrove: an interpreter that has it; empty without one.
        pages: JSON lines of web pages with a column `text`; none without such data.
        html: JSON lines of web pages with a column `html`.
    """

    datatrove: str = ""
    rules: str = ""
    pages: Sequence[Path] = ()
    html: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bench with its options.

    Attributes:
        name: what `--only` and `--skip` name; `filters` names `filters.rules` and all others like it.
        words: the command line after the interpreter; `--output FILE` is added.
        needs: says what is missing on a machine; empty where nothing is.
        more: further options, from what the machine has.
        heavy: left out unless it is named.
        prints: it prints its figures, and has no `--output FILE` for them.
    """

    name: str
    words: tuple[str, ...]
    needs: Callable[[Needs], str] = lambda _: ""
    more: Callable[[Needs], Sequence[str]] = lambda _: ()
    heavy: str = ""
    prints: bool = False


def _datatrove(has: Needs) -> str:
    return "" if has.datatrove else "no environment with datatrove (--datatrove FOLDER, or `python bench/ingest.py`)"


def _vllm(_: Needs) -> str:
    return "" if importlib.util.find_spec("vllm") else "vLLM is not installed (`python dev/setup_vllm.py`)"


def _pages(has: Needs) -> str:
    return "" if has.pages else "no web pages (--pages FILE...)"


def _rules(has: Needs) -> str:
    return _pages(has) or ("" if has.rules else "no interpreter with datatrove, nltk and spacy (--rules PYTHON)")


def _engine(_: Needs) -> Sequence[str]:
    return ("--engines", "transformers", "vllm") if importlib.util.find_spec("vllm") else ()


def _ingest(has: Needs) -> Sequence[str]:
    environment = Path(has.datatrove).parent.parent
    return ("--datatrove", str(environment), *(("--pages", str(has.html)) if has.html else ()))


def _alternatives(has: Needs) -> Sequence[str]:
    return ("--datatrove", has.datatrove) if has.datatrove else ("--skip", "datatrove")


def _filters(has: Needs) -> Sequence[str]:
    return ("--pages", *map(str, has.pages), "--datatrove", has.rules)


PARTS = (
    Part(name="programs", words=("bench/programs.py", "--rounds", "7")),
    Part(name="execute_stage", words=("bench/execute_stage.py", "--documents", "20000")),
    Part(
        name="engine",
        words=("bench/engine.py", "--model", "random", "--new-tokens", "48", "--documents", "24"),
        more=_engine,
    ),
    Part(name="two_stages", words=("bench/two_stages.py", "--documents", "16")),
    Part(name="ingest", words=("bench/ingest.py",), needs=_datatrove, more=_ingest),
    Part(name="filters.rules", words=("bench/filters.py", "rules"), needs=_rules, more=_filters, prints=True),
    Part(
        name="filters.near",
        words=("bench/filters.py", "near", "--documents", "5000", "20000", "--reference", "5000"),
        needs=_rules,
        more=_filters,
        heavy="minutes of MinHash in Spark",
        prints=True,
    ),
    Part(name="filters.balance", words=("bench/filters.py", "balance"), prints=True),
    Part(name="overhead", words=("bench/overhead.py",)),
    Part(name="alternatives", words=("bench/alternatives.py",), more=_alternatives),
    Part(name="scaling", words=("bench/scaling.py",)),
    Part(name="scale_model", words=("bench/scale_model.py",)),
    Part(name="flat_memory", words=("bench/flat_memory.py",), heavy="40 minutes for 200,000 documents", prints=True),
    Part(
        name="corpus_quality",
        words=("bench/corpus_quality.py", "--output", "build/bench/corpus_quality"),
        heavy="hours: it trains language models",
        prints=True,
    ),
)


def chosen(parts: Sequence[Part], only: Sequence[str], skip: Sequence[str]) -> list[tuple[Part, str]]:
    """The parts, each with the reason why it is left out; empty for those that run.

    Raises:
        ValueError: a name that no part has.
    """
    for name in [*only, *skip]:
        if not any(_named(part, name) for part in parts):
            raise ValueError(f"there is no part {name!r}; there are {', '.join(part.name for part in parts)}")
    found = []
    for part in parts:
        reason = ""
        if any(_named(part, name) for name in skip):
            reason = "left out by name (--skip)"
        elif only and not any(_named(part, name) for name in only):
            reason = "not chosen (--only)"
        elif part.heavy and not only:
            reason = f"{part.heavy}; --only {part.name} runs it"
        found.append((part, reason))
    return found


def _named(part: Part, name: str) -> bool:
    return part.name == name or part.name.startswith(f"{name}.")


def environment() -> dict[str, str]:
    """The environment of a part: this checkout's code, and no network for models."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
