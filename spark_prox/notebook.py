"""The facade for notebooks, tests and other people's pipelines: refine a DataFrame, read a warehouse.

Works on any session, classic or Spark Connect. Nothing here starts Spark, writes a table or needs a warehouse. This is
the one place of the package that imports `udfs`, inside its functions, as the jobs do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spark_prox.config.run import RunConfig, load_config
from spark_prox.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, SparkSession

    from spark_prox.report.corpus import Corpus

__all__ = ["connect", "refine"]

_SECTIONS = ("model", "doc", "chunk", "policy", "dialect", "count_tokens")
"""Keys of the configuration that decide a row; the others are of a job."""


def refine(
    df: DataFrame,
    text: str = "text",
    id: str | None = "id",  # noqa: A002 - what everybody calls the column
    model: str = "embedded",
    *,
    policy: str = "default",
    dialect: str = "prox",
    settings: Mapping[str, object] | None = None,
    profile: ResourceProfile | None = None,
) -> DataFrame:
    """Refine the documents of a DataFrame: a row out for each row in, lazily, on the DataFrame's own session.

        spark_prox.refine(pages, text="content", id=None).where("outcome = 'EDITED'").show()
        spark_prox.refine(pages, model="c4", settings={"model.engine": "author"})  # rules, no model

    The new columns are named as in the table `refined`: text (null when dropped), outcome, reason, detail, doc_reason,
    doc_margin, edits, programs, and counts before and after. The columns of `df` follow as they are, text and id too;
    one whose name is taken comes back as `input_NAME`. A document that cannot be refined has outcome FAILED, its code
    in `reason` and its text unchanged. Nothing is stored, so every action runs the model again: cache the result, or
    write it into a table. The model is loaded once in each Python worker.

    Args:
        text: the column with the text; dots reach into structs.
        id: the column that identifies a document; a row without one is FAILED with MISSING_ID. None where there is no
            such column.
        model: as `model.path`: "embedded", "smollm2", a folder, a hub id or a URI of a folder.
        policy: a name of `spark_prox.programs`; `policy.overrides` goes into `settings`.
        dialect: how programs are spelt.
        settings: further keys of the configuration by dotted name, of model, doc, chunk, policy, dialect and
            count_tokens; for example {"doc.enabled": False}.
        profile: resources of a task, for example one GPU.

    Raises:
        ConfigError: CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, TEMPLATE_UNKNOWN, POLICY_UNKNOWN, DIALECT_UNKNOWN.
        InputError: MISSING_COLUMN, BAD_COLUMN.
        ModelError: the model is not there, or its parts do not fit together.
    """
    from spark_prox.spark.model_stores import share_stores
    from spark_prox.spark.refined_frame import refined_frame
    from spark_prox.spark.shipping import is_connect, ship_code
    from spark_prox.writers import needs_store, one_pass, policy_of, writer_of, writers_of
    from udfs.functions import FUNCTIONS
    from udfs.refine import RefineRows

    config = _config(model, policy, dialect, settings or {})
    if needs_store(config) and not is_connect(df.sparkSession):
        share_stores(df.sparkSession)
    writers = writers_of(config)
    for writer in writers.values():
        writer.check()
    rules = policy_of(config)
    tokenizer = writer_of(config, "chunk").tokenizer if config.count_tokens else None
    function = RefineRows(
        programs={
            level: writer.function(FUNCTIONS, one_pass=level == "doc" and one_pass(writers))
            for level, writer in writers.items()
        },
        revisions={level: writer.key().model_revision for level, writer in writers.items()},
        decide=FUNCTIONS.decide_documents(policy=rules, dialect=config.dialect),
        execute=FUNCTIONS.execute_programs(policy=rules, dialect=config.dialect, tokenizer=tokenizer),
        needs_id=id is not None,
    )
    ship_code(df.sparkSession)
    return refined_frame(df, function, text=text, id_column=id, profile=profile)


def connect(warehouse: str, spark: SparkSession | None = None) -> Corpus:
    """Open a warehouse for reading: its tables as DataFrames, and the queries of the reports.

        corpus = spark_prox.connect("s3a://corpus/refined")
        corpus.outcomes().show()
        corpus.refined.where("outcome = 'DROPPED'").select("url", "doc_margin").show()

    Args:
        warehouse: a directory, a URI or `catalog:SCHEMA`, as for `--warehouse`.
        spark: the session; None for the active one. It needs Delta, see `spark_prox.spark.session.session_settings`.

    Raises:
        SetupError: NO_SESSION.
        ConfigError: WAREHOUSE_BAD_NAME.
    """
    from spark_prox.report.corpus import Corpus
    from spark_prox.spark.session import active_session

    return Corpus(spark or active_session(), warehouse)


def _config(model: str, policy: str, dialect: str, settings: Mapping[str, object]) -> RunConfig:
    for key in settings:
        if key.partition(".")[0] not in _SECTIONS:
            raise ConfigError(
                "CONFIG_UNKNOWN_KEY",
                f"The setting {str(key)[:80]!r} is not one of a DataFrame.",
                f"Keys begin with {', '.join(_SECTIONS)}; for example 'chunk.max_chunk_tokens'.",
            )
    return load_config(None, base={"model.path": model, "policy.name": policy, "dialect": dialect, **settings})
