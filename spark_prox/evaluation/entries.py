"""The entries of a comparison: rule sets, the line classifier, language models. Each writes programs.

An entry writes rows as the generate stage does, with the prompts, engines and code of production. The only labels it
knows are those that choose the classifier's threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from spark_prox.annotation.labels import LabelledPage
from spark_prox.config.run import load_config
from spark_prox.documents import LEVELS, Document, Level, join_lines
from spark_prox.engines.registry import AUTO
from spark_prox.engines.worker import engine_for
from spark_prox.evaluation.thresholds import best_margin, margin_curve
from spark_prox.generation import GeneratedProgram, generate_programs
from spark_prox.heuristics.ensemble import open_ensemble
from spark_prox.heuristics.line_classifier import LineClassifier, train_line_classifier
from spark_prox.heuristics.line_rules import keep_everything
from spark_prox.heuristics.writers import RULE_SETS, ClassifierHeuristic, Heuristic, RuleSet, write_programs
from spark_prox.model_names import shown_name
from spark_prox.models import model_settings, pinned_path
from spark_prox.programs import Policy, policy_for
from spark_prox.prompts.builder import builder_for, kind_of
from spark_prox.writers import ModelWriter, policy_of, writers_of

__all__ = ["CLASSIFIER", "KEEP", "Entry", "classifier_entry", "model_entry", "rule_entries", "stored_classifier"]

CLASSIFIER, KEEP = "line classifier", "keep"
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One writer under its own policy.

    Attributes:
        write: rows for documents and a level.
        policy: the default one, with the margins that this writer asks for.
        levels: the levels that it decides on.
        dialect: the spelling of its programs.
    """

    name: str
    write: Callable[[Sequence[Document], Level], Iterator[GeneratedProgram]]
    policy: Policy
    levels: tuple[Level, ...] = ("doc", "chunk")
    dialect: str = "prox"

    def rows(self, texts: Sequence[Sequence[str]], stage: Level) -> list[GeneratedProgram]:
        """Programs for documents given as lines; a row's `doc_id` is the document's index."""
        documents = [Document(doc_id=str(n), text=join_lines(list(lines))) for n, lines in enumerate(texts)]
        return list(self.write(documents, stage))


def rule_entries() -> list[Entry]:
    """All rule sets. A rule set without a rule for a level is left out there; `keep` stands for keeping everything."""
    return [
        Entry(
            name=name,
            write=partial(_write_rules, rules),
            policy=policy_for("default"),
            levels=_levels_of(rules),
        )
        for name, rules in RULE_SETS.items()
    ]


def stored_classifier(path: str | Path, pages: Sequence[LabelledPage], say: Say) -> LineClassifier:
    """The line classifier in a file that this project's jobs wrote, or a new one, trained on pages and stored there."""
    path = Path(path)
    if not path.exists():
        say(f"training the line classifier on {len(pages)} pages of training hosts")
        path.parent.mkdir(parents=True, exist_ok=True)
        train_line_classifier(pages, say=say).save(path)
    return LineClassifier.load(path)


def classifier_entry(classifier: LineClassifier, validation: Sequence[LabelledPage], say: Say) -> Entry:
    """The line classifier; how sure it has to be is chosen on validation pages."""
    writer = ClassifierHeuristic(classifier)
    margins = [writer.edit_lines(page.lines).line_margins or () for page in validation]
    margin = best_margin(margin_curve(validation, margins)).margin
    say(f"{CLASSIFIER}: min_remove_margin {margin:g}, chosen on {len(validation)} validation pages")
    return Entry(
        name=CLASSIFIER,
        write=partial(_write_rules, writer),
        policy=policy_for("default", min_remove_margin=margin),
        levels=("chunk",),
    )


def model_entry(
    model: str,
    *,
    threads: int,
    template: str = "auto",
    settings: Sequence[str] = (),
    config: str | Path | None = None,
) -> Entry:
    """A language model as `jobs/refine.py` would run it: templates, dialect, budgets, policy and margins are the run's.

    Args:
        model: as `model.path` names one.
        template: the kind of template of both levels, such as "prox" or "prox-bare"; "auto" takes what a run takes.
        settings: `key=value` of a run.
        config: a YAML file of a run.

    Raises:
        ModelError: the folder is missing or is no such model.
        ConfigError: TEMPLATE_UNKNOWN, and what `load_config` raises.
    """
    model = pinned_path(model)
    bare = template.removesuffix("-bare")
    named = (
        {}
        if template == "auto"
        else {f"{level}.template": f"{bare}-{level}{template[len(bare) :]}" for level in LEVELS}
    )
    base = {"model.path": model, "model.threads": threads, **named}
    run = load_config(config, settings, base)
    said = model_settings(model) if template == "auto" else None
    if said is not None and said.level != "both":  # no run has the other level with this model
        other = "doc" if said.level == "chunk" else "chunk"
        run = load_config(config, settings, {**base, f"{other}.enabled": False})
    writers = {level: writer for level, writer in writers_of(run).items() if isinstance(writer, ModelWriter)}
    return Entry(
        name="embedded refiner" if model == "embedded" else Path(shown_name(model)).name,
        write=partial(_write_model, writers),
        policy=policy_of(run),
        levels=tuple(writers),
        dialect=run.dialect,
    )


def _levels_of(rules: RuleSet) -> tuple[Level, ...]:
    levels: list[Level] = []
    if rules.document_rule is not None or rules.name == KEEP:
        levels.append("doc")
    if rules.line_rule is not keep_everything or rules.name == KEEP:
        levels.append("chunk")
    return tuple(levels)


def _write_rules(writer: Heuristic, documents: Sequence[Document], stage: Level) -> Iterator[GeneratedProgram]:
    return write_programs(documents, writer, stage=stage)


def _write_model(
    writers: Mapping[Level, ModelWriter], documents: Sequence[Document], stage: Level
) -> Iterator[GeneratedProgram]:
    model, prompt = writers[stage].model, writers[stage].prompt
    if kind_of(prompt).reads_lines and model.engine == AUTO:
        model = replace(model, engine="transformers")  # no other one reads verdicts on many lines at once
    return generate_programs(
        documents,
        engine_for(model),
        builder_for(prompt),
        stage=stage,
        answers=prompt.template.answers,
        opinion=open_ensemble(model.path) if stage == "chunk" else None,
        dialect=prompt.template.dialect or prompt.dialect,
    )
