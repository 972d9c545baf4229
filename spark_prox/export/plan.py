"""The plan of an export: what decides its shards, stored before the first, so that a later run goes on or says why not.

Knows no Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spark_prox.errors import ConfigError, TableError
from spark_prox.export.destination import WORK_FOLDER, Destination
from spark_prox.export.placing import ShardRange, shard_ranges

__all__ = ["MANIFEST", "PLAN", "ExportPlan", "check_same", "read_plan"]

MANIFEST = "manifest.json"
PLAN = f"{WORK_FOLDER}/plan.json"


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """What decides the shards.

    Attributes:
        settings: by name, as JSON values.
        tables: versions of the tables that are read.
        shards: how many each split has.
    """

    settings: Mapping[str, object]
    tables: Mapping[str, int]
    shards: Mapping[str, int]

    @property
    def ranges(self) -> tuple[ShardRange, ...]:
        """The shards of all splits."""
        return shard_ranges(self.shards)

    def as_json(self) -> dict[str, object]:
        """The plan as JSON."""
        return {"settings": dict(self.settings), "tables": dict(self.tables), "shards": dict(self.shards)}

    @classmethod
    def from_json(cls, tree: object) -> ExportPlan:
        """Back from `as_json`.

        Raises:
            TableError: EXPORT_DAMAGED.
        """
        try:
            if not isinstance(tree, Mapping):
                raise TypeError
            return cls(
                settings={str(name): value for name, value in tree["settings"].items()},
                tables={str(name): int(version) for name, version in tree["tables"].items()},
                shards={str(name): int(count) for name, count in tree["shards"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TableError(
                "EXPORT_DAMAGED", "The plan of an export cannot be read.", "Export into another folder."
            ) from None


def read_plan(destination: Destination) -> tuple[ExportPlan | None, bool]:
    """The plan that lies at a destination, and whether its export is done.

    Raises:
        ConfigError: EXPORT_NOT_EMPTY: there is something else.
        TableError: EXPORT_DAMAGED.
    """
    for path, done in ((MANIFEST, True), (PLAN, False)):
        if (tree := destination.read_json(path)) is not None:
            inner = tree.get("plan") if done and isinstance(tree, Mapping) else tree
            return ExportPlan.from_json(inner), done
    found = [name for name in destination.names() if name != WORK_FOLDER]
    if found:
        raise ConfigError(
            "EXPORT_NOT_EMPTY",
            f"There is something in {destination.uri[:200]!r} that is no export: {', '.join(found[:3])[:120]}.",
            "Export into an empty or a new folder.",
        )
    return None, False


def check_same(found: ExportPlan, settings: Mapping[str, object], uri: str) -> None:
    """Refuse to go on with an export under other settings.

    Raises:
        ConfigError: EXPORT_SETTINGS_DIFFER, naming the first one.
    """
    for name in sorted({*found.settings, *settings}):
        before, now = found.settings.get(name), settings.get(name)
        if before != now:
            raise ConfigError(
                "EXPORT_SETTINGS_DIFFER",
                f"The export in {uri[:200]!r} was begun with {name} {str(before)[:80]!r}, now it is {str(now)[:80]!r}.",
                "Export into another folder, or run with the same settings; --overwrite starts over.",
            )
