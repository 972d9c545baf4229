"""Export: a corpus becomes shards at a destination, written by the executors, with a manifest and a card.

The plan is stored first, with the versions of the tables; an export that was cut off goes on with those, shard by
shard. The driver sees counts and records of shards, no document. Knows no format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from spark_prox.config.export import ExportConfig
from spark_prox.config.run import RunConfig
from spark_prox.errors import ConfigError, InputError, TableError
from spark_prox.export.card import card_text
from spark_prox.export.destination import WORK_FOLDER, Destination, WrittenFile
from spark_prox.export.formats import TOKEN_FORMATS, ShardWriter
from spark_prox.export.functions import ExportFunctions
from spark_prox.export.manifest import ExportManifest
from spark_prox.export.placing import SPLITS_OF_EXPORT, TRAIN, Placing
from spark_prox.export.plan import MANIFEST, PLAN, ExportPlan, check_same, read_plan
from spark_prox.export.shards import ShardRecord, shard_names
from spark_prox.export.token_formats import litgpt_index, token_dtype
from spark_prox.export.tokenizing import ExportTokenizer, find_tokenizer
from spark_prox.spark.hadoop_settings import object_stores
from spark_prox.spark.progress import announce, announced
from spark_prox.stages.corpora import chosen_columns, corpus_rows, described_tables, filters_of, rules_of, text_tables
from spark_prox.stages.provenance import flow_of, made_by
from spark_prox.stages.runlog import versions
from spark_prox.stages.verdicts import last_filters
from spark_prox.warehouse.tables import Warehouse
from spark_prox.warehouse.versions import version_of

__all__ = ["Export"]

_PLACED = [
    StructField("split", StringType()),
    StructField("shard", IntegerType()),
    StructField("place", LongType()),
    StructField("copy", IntegerType()),
]
_ORDER = ("shard", "place", "doc_id", "copy")
_WRITTEN = "shard int, record string"


class Export:
    """One export of one warehouse.

    Raises:
        ProxError: the configuration, the tokenizer, the warehouse or the destination is wrong.
    """

    def __init__(
        self, spark: SparkSession, warehouse: Warehouse, config: RunConfig, functions: ExportFunctions
    ) -> None:
        self._spark = spark
        self._warehouse = warehouse
        self._config: ExportConfig = config.export
        self._functions = functions
        if not self._config.to:
            raise ConfigError("CONFIG_MISSING_KEY", "The export has no destination.", "Use --to FOLDER.")
        self.destination = Destination(self._config.to, object_stores(spark) if "://" in self._config.to else None)
        self._tokenizer = _tokenizer(self._config)
        self._columns = chosen_columns(warehouse, self._config)
        self._filters = filters_of(warehouse, self._config)

    def run(self, *, overwrite: bool = False) -> ExportManifest:
        """Write what is missing; gives the manifest.

        Args:
            overwrite: start over, whatever export is there.

        Raises:
            ConfigError: EXPORT_NOT_EMPTY, EXPORT_SETTINGS_DIFFER.
            InputError: EXPORT_EMPTY.
            TableError: EXPORT_OUTDATED, EXPORT_NOT_SHARED, TABLE_MISSING, TABLE_VERSION_GONE, DISK_FULL and others.
        """
        plan, done = read_plan(self.destination)
        if plan is not None and overwrite:
            self._delete(plan)
            plan, done = None, False
        if plan is not None:
            check_same(plan, self._settings(), self.destination.uri)
            if done:
                self._check_tables(plan)
        self.destination.check_writable()
        self.destination.delete_temporary()
        if plan is None:
            plan = self._new_plan()
            self.destination.write_json(PLAN, plan.as_json())
        records = self._finished(plan, done=done)
        missing = [name.number for name in shard_names(plan.ranges) if name.number not in records]
        if missing:
            if records:
                announce(f"{len(records):,} of {len(records) + len(missing):,} shards are there already")
            records |= self._write(plan, missing)
        return self._finish(plan, records)

    def _settings(self) -> dict[str, object]:
        config, tokenizer = self._config, self._tokenizer
        is_token = config.format in TOKEN_FORMATS
        return {
            "warehouse": self._warehouse.location,
            "corpus": config.corpus,
            "rules": rules_of(self._warehouse, config),
            **({"filters": self._filters} if self._filters else {}),
            "format": config.format,
            "seed": config.seed,
            "shards": config.shards,
            "shard_bytes": config.shard_bytes,
            "holdout": config.holdout,
            "mixture": dict(sorted(config.mixture.items())),
            "columns": [field.name for field in self._columns],
            "tokenizer": tokenizer and tokenizer.fingerprint,
            "eos": tokenizer.eos if tokenizer and is_token else None,
            "vocabulary": tokenizer and tokenizer.vocabulary,
            "dtype": token_dtype(config.format, tokenizer.vocabulary) if tokenizer and is_token else None,
        }

    def _new_plan(self) -> ExportPlan:
        tables = {
            name: version_of(self._spark, self._warehouse, name)
            for name in described_tables(self._warehouse, self._config)
        }
        placed = self._placed(ExportPlan(settings={}, tables=tables, shards={}))
        with announced("export: count"):
            found = placed.groupBy("split").agg(F.sum(F.octet_length("text"))).collect()
        sizes = {row[0]: int(row[1]) for row in found}
        if not sizes:
            raise InputError(
                "EXPORT_EMPTY",
                f"The corpus {self._config.corpus!r} of {self._warehouse.location!r} has no document to export.",
                "Run the stages before it (ingest, generate, execute), or check export.mixture and the filters.",
            )
        shards = {
            split: max(1, math.ceil(sizes[split] / self._shard_bytes(sizes)))
            for split in SPLITS_OF_EXPORT
            if split in sizes
        }
        return ExportPlan(settings=self._settings(), tables=tables, shards=shards)

    def _shard_bytes(self, sizes: dict[str, int]) -> float:
        if self._config.shards is None:
            return self._config.shard_bytes
        return max(sizes.get(TRAIN, max(sizes.values())), 1) / self._config.shards

    def _placed(self, plan: ExportPlan) -> DataFrame:
        rows = corpus_rows(self._spark, self._warehouse, self._config, plan.tables, self._functions, self._filters)
        placing = Placing(config=self._config, ranges=plan.ranges)
        return rows.mapInArrow(
            self._functions.place_documents(placing=placing), StructType([*rows.schema.fields, *_PLACED])
        )

    def _write(self, plan: ExportPlan, missing: Sequence[int]) -> dict[int, ShardRecord]:
        names = shard_names(plan.ranges)
        columns = ["shard", "doc_id", "text", "url", "source", "crawl", "tokens", "copy"]
        writer = ShardWriter(
            destination=self.destination,
            format=self._config.format,
            tokenizer=self._tokenizer,
            extra={field.name: to_arrow_type(field.dataType) for field in self._columns},
            copies=any(weight > 1 for weight in self._config.mixture.values()),
        )
        rows = self._placed(plan)
        if len(missing) < len(names):
            rows = rows.where(F.col("shard").isin(*missing))
        shards = rows.repartitionById(len(names), F.col("shard")).sortWithinPartitions(*_ORDER)
        chosen = shards.select(*columns, *(f"c{number}" for number in range(len(self._columns))))
        written = chosen.mapInArrow(self._functions.write_shards(writer=writer, shards=names), _WRITTEN)
        with announced(f"export: write {len(missing):,} shards"):
            found = [ShardRecord.from_json(json.loads(row["record"])) for row in written.collect()]
        records = {record.number: record for record in found}
        for number in missing:  # chance gave it no document
            records.setdefault(number, _empty(number, names[number].split))
        self._check_visible(records)
        return records

    def _finished(self, plan: ExportPlan, *, done: bool) -> dict[int, ShardRecord]:
        """Records of shards whose files are all there."""
        if done:
            tree = self.destination.read_json(MANIFEST)
            trees = tree.get("shards", []) if isinstance(tree, dict) else []
        else:
            names = self.destination.names(f"{WORK_FOLDER}/shards")
            trees = [self.destination.read_json(f"{WORK_FOLDER}/shards/{name}") for name in names]
        records = [ShardRecord.from_json(tree) for tree in trees if tree is not None]
        sizes = self.destination.sizes([file.path for record in records for file in record.files])
        whole = [r for r in records if all(sizes.get(file.path) == file.bytes for file in r.files)]
        return {record.number: record for record in whole}

    def _check_visible(self, records: dict[int, ShardRecord]) -> None:
        files = [file for record in records.values() for file in record.files]
        sizes = self.destination.sizes([file.path for file in files])
        lost = [file.path for file in files if sizes.get(file.path) != file.bytes]
        if lost:
            raise TableError(
                "EXPORT_NOT_SHARED",
                f"The driver does not see {lost[0]!r} in {self.destination.uri[:200]!r}, which an executor wrote.",
                "Use a destination that driver and executors share.",
            )

    def _check_tables(self, plan: ExportPlan) -> None:
        """An export that is done stands for its versions; one that is cut off goes on with them."""
        for name in text_tables(self._warehouse, self._config):
            version, now = plan.tables.get(name), version_of(self._spark, self._warehouse, name)
            if now != version:
                raise TableError(
                    "EXPORT_OUTDATED",
                    f"The export in {self.destination.uri[:200]!r} is done, of version {version} of {name!r}; "
                    f"the table is at {now} now.",
                    "Export into another folder, or start over with --overwrite.",
                )

    def _finish(self, plan: ExportPlan, records: dict[int, ShardRecord]) -> ExportManifest:
        manifest = ExportManifest(
            plan=plan,
            created_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            warehouse=self._warehouse.location,
            versions=versions(),
            records=tuple(records[number] for number in sorted(records)),
            flow=flow_of(self._spark, self._warehouse, plan.tables),
            made=made_by(
                self._spark,
                self._warehouse,
                plan.tables,
                self._config.corpus,
                self._filters if self._config.corpus == "rules" else last_filters(self._warehouse),
            ),
        )
        files = [file for record in manifest.records for file in record.files]
        if self._config.format == "litgpt":
            files += self._litgpt_indexes(manifest)
        files.append(self.destination.write_text("README.md", card_text(manifest, self._config, self._tokenizer)))
        files.append(self.destination.write_json(MANIFEST, manifest.as_json()))
        sums = "".join(f"{file.sha256}  {file.path}\n" for file in files)
        self.destination.write_text("SHA256SUMS", sums)
        self.destination.delete_folder(WORK_FOLDER)
        return manifest

    def _litgpt_indexes(self, manifest: ExportManifest) -> list[WrittenFile]:
        assert self._tokenizer is not None
        dtype = token_dtype("litgpt", self._tokenizer.vocabulary)
        written = []
        for split in manifest.plan.shards:
            chunks = [
                (record.files[0].path.rpartition("/")[2], dict(record.facts))
                for record in manifest.records
                if record.split == split and record.files
            ]
            written.append(self.destination.write_json(f"{split}/index.json", litgpt_index(dtype, chunks)))
        return written

    def _delete(self, plan: ExportPlan) -> None:
        """Delete the files of an export, and nothing else."""
        for done in (True, False):
            for record in self._finished(plan, done=done).values():
                for file in record.files:
                    self.destination.delete(file.path)
        for split in SPLITS_OF_EXPORT:
            self.destination.delete(f"{split}/index.json")
        for name in (MANIFEST, "README.md", "SHA256SUMS"):
            self.destination.delete(name)
        self.destination.delete_folder(WORK_FOLDER)


def _empty(number: int, split: str) -> ShardRecord:
    return ShardRecord(number=number, split=split, files=(), documents={}, tokens={})


def _tokenizer(config: ExportConfig) -> ExportTokenizer | None:
    needed = config.format in TOKEN_FORMATS
    if config.tokenizer:
        return find_tokenizer(config.tokenizer, config.eos, needs_eos=needed)
    if needed:
        raise ConfigError(
            "EXPORT_NO_TOKENIZER",
            f"The format {config.format!r} needs a tokenizer.",
            "Use --tokenizer with a model directory or a tokenizer.json, as the executors see it.",
        )
    return None
