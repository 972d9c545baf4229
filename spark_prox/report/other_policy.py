"""Apply another policy to a document's stored programs, without a model and without storing anything."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import yaml

from spark_prox.config.plain_yaml import parse_yaml
from spark_prox.config.run import PolicyConfig, RunConfig
from spark_prox.errors import ConfigError
from spark_prox.execution import RefinedRow, execute_stored
from spark_prox.programs import Policy, policy_for
from spark_prox.report.history import DocumentHistory, RunRecord
from spark_prox.writers import policy_of

__all__ = ["OtherPolicy", "other_policy", "replay_under"]

_MARGINS = ("min_drop_margin", "min_remove_margin", "min_remove_margin_short", "short_line_words")


class OtherPolicy(NamedTuple):
    """Another policy, by the name under which it was asked for."""

    name: str
    policy: Policy


def other_policy(asked: str, run: RunRecord | None, config: RunConfig) -> OtherPolicy:
    """The policy that a command line names.

    Policy `default` has the margins that the run had, else those of the configured writers.

    Args:
        asked: a name, or a name and fields: `default,min_remove_margin=2`.

    Raises:
        ConfigError: POLICY_UNKNOWN, POLICY_UNKNOWN_FIELD, POLICY_BAD_VALUE.
        ModelError: the configured writers are asked for margins and are not there.
    """
    name, *parts = (part.strip() for part in asked.split(","))
    fields: dict[str, object] = {}
    for part in parts:
        key, separator, value = part.partition("=")
        try:
            fields[key] = parse_yaml(value)
        except (yaml.YAMLError, ValueError):
            separator = ""
        if not separator:
            raise ConfigError(
                "POLICY_BAD_VALUE",
                f"--policy {asked[:200]!r}: {part[:80]!r} is not field=value.",
                "Example: --policy default,min_remove_margin=2",
            )
    policy = policy_for(name)
    if name == "default":
        if run is not None and run.policy is not None and run.policy.name == "default":
            policy = policy_for(policy, **{field: getattr(run.policy, field) for field in _MARGINS})
        else:
            policy = policy_of(replace(config, policy=PolicyConfig(name=name)))
    return OtherPolicy(asked, policy_for(policy, **fields))


def replay_under(history: DocumentHistory, policy: Policy) -> RefinedRow:
    """Execute the stored programs under a policy, as the execute stage would."""
    doc, run = history.used("doc"), history.run
    is_off = run is not None and bool(run.writers) and "doc" not in run.writers
    return execute_stored(
        history.text,
        doc_program="keep_doc()" if is_off else doc[0]["program"] if doc else None,
        doc_status="OFF" if is_off else doc[0]["status"] if doc else None,
        doc_margin=doc[0]["margin"] if doc else None,
        chunks=history.chunks(),
        policy=policy,
        dialect=run.dialect if run is not None else "prox",
        line_program=history.line_program,
    )
