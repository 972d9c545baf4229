"""The accounting of ProX as SQL: tokens after each step, programs and their calls, the cost against that of training.

`v_token_flow`, `v_programs` and `v_cost` are made of the tables `documents`, `refined`, `programs` and `runs`. Here is
their text; `spark_prox.warehouse.views` puts them into a warehouse.
"""

from __future__ import annotations

from spark_prox.programs.dialects import DIALECTS

__all__ = ["MODEL_SIZES", "VIEWS", "cost_sql", "programs_sql", "token_flow_sql"]

MODEL_SIZES: dict[str, float] = {
    "0.35B": 354_284_800,
    "0.76B": 758_982_144,
    "1.7B": 1_741_785_088,
    "7B": 6_738_415_616,
}
"""Parameters of the models that `v_cost` would train: ProX's three sizes, and Llama-2's 7B."""

_CALL = r"(?m)(?:^|[;)>])[\\s`;,]*(?:(?:[-*+]+|[0-9]{1,4}[.)])[ \\t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \\t]*\\("


def token_flow_sql(documents: str, refined: str) -> str:
    """Documents, tokens and words that are left after each step, by source and crawl.

    Step 1 `raw` is every document. Step 2 `filtered` is what filters leave, of the documents that have been executed.
    Step 3 `doc` is what the document level keeps, with its original text; step 4 `chunk` is what is left of that after
    editing. `uncounted` are documents without a number of tokens: they were not executed, or not counted.

    Args:
        documents, refined: the tables, as SQL names them in FROM.
    """
    return f"""WITH joined AS (
  SELECT d.source, d.crawl, r.outcome, r.doc_reason, r.doc_id IS NOT NULL AS executed,
         r.tokens_before, r.tokens_after, r.words_before, r.words_after
  FROM {documents} AS d LEFT JOIN {refined} AS r ON d.doc_id = r.doc_id AND d.doc_hash = r.doc_hash
), steps AS (
  SELECT source, crawl, stack(4,
    1, 'raw', true, tokens_before, words_before,
    2, 'filtered', executed AND doc_reason <> 'FILTERED', tokens_before, words_before,
    3, 'doc', executed AND doc_reason NOT IN ('FILTERED', 'DROP_CALL'), tokens_before, words_before,
    4, 'chunk', executed AND outcome <> 'DROPPED', tokens_after, words_after
  ) AS (step, stage, reached, tokens, words) FROM joined
)
SELECT source, crawl, step, stage,
       count_if(reached) AS documents,
       coalesce(sum(tokens) FILTER (WHERE reached), 0) AS tokens,
       coalesce(sum(words) FILTER (WHERE reached), 0) AS words,
       count_if(reached AND tokens IS NULL) AS uncounted
FROM steps GROUP BY source, crawl, step, stage"""


def programs_sql(programs: str) -> str:
    """Programs, their failures and their calls, by level, writer and template.

    `failed` programs have no answer (see `programs.status`), `unreadable` ones have an answer without a known call;
    `failure_ratio` is the share of both. `calls_by_kind` counts known calls where a statement can begin, by their
    spelling: what a regular expression can tell, where the executor's reader tells more.
    """
    known = sorted({name for dialect in DIALECTS.values() for name in dialect.calls})
    names = ", ".join(f"'{name}'" for name in known)
    return f"""WITH read AS (
  SELECT stage, model, model_revision, template, status, prompt_tokens, output_tokens,
         filter(regexp_extract_all(coalesce(program, ''), '{_CALL}', 1), kind -> kind IN ({names})) AS calls
  FROM {programs}
), kinds AS (
  SELECT stage, model, model_revision, template, map_from_entries(collect_list(struct(kind, n))) AS calls_by_kind
  FROM (SELECT stage, model, model_revision, template, kind, count(*) AS n
        FROM read LATERAL VIEW explode(calls) AS kind WHERE status = 'OK'
        GROUP BY stage, model, model_revision, template, kind)
  GROUP BY stage, model, model_revision, template
), sums AS (
  SELECT stage, model, model_revision, template, count(*) AS programs,
         count_if(status <> 'OK') AS failed,
         count_if(status = 'OK' AND size(calls) = 0) AS unreadable,
         sum(if(status = 'OK', size(calls), 0)) AS calls,
         sum(prompt_tokens) AS prompt_tokens, sum(output_tokens) AS output_tokens
  FROM read GROUP BY stage, model, model_revision, template
)
SELECT s.stage, s.model, s.model_revision, s.template, s.programs, s.failed, s.unreadable,
       (s.failed + s.unreadable) / s.programs AS failure_ratio,
       s.calls, try_divide(s.calls, s.programs - s.failed) AS calls_per_program, k.calls_by_kind,
       s.prompt_tokens, s.output_tokens, try_divide(s.output_tokens, s.prompt_tokens) AS output_share
FROM sums AS s LEFT JOIN kinds AS k
  ON s.stage <=> k.stage AND s.model <=> k.model AND s.model_revision <=> k.model_revision
  AND s.template <=> k.template"""


def cost_sql(flow: str, runs: str) -> str:
    """The FLOP of refining, as `runs` has them, against those of training a model once on what is left: 6 N D.

    One row for each size N. D is the tokens of step `chunk`; `flop_raw` is the training on all tokens instead.
    `flop_refining` is null where no run knew its model's size.

    Args:
        flow: `v_token_flow`, as SQL names it in FROM.
    """
    sizes = ", ".join(f"('{name}', {parameters:.0f}D)" for name, parameters in MODEL_SIZES.items())
    return f"""WITH tokens AS (
  SELECT sum(tokens) FILTER (WHERE stage = 'raw') AS tokens_raw, sum(tokens) FILTER (WHERE stage = 'doc') AS tokens_doc,
         sum(tokens) FILTER (WHERE stage = 'chunk') AS tokens_kept FROM {flow}
), refining AS (
  SELECT sum(flop) FILTER (WHERE stage = 'generate-doc') AS flop_doc,
         sum(flop) FILTER (WHERE stage = 'generate-chunk') AS flop_chunk,
         sum(flop) FILTER (WHERE stage LIKE 'generate-%') AS flop_refining FROM {runs}
)
SELECT m.model_size, m.parameters, t.tokens_raw, t.tokens_doc, t.tokens_kept,
       r.flop_doc, r.flop_chunk, r.flop_refining,
       6 * m.parameters * t.tokens_kept AS flop_training,
       6 * m.parameters * t.tokens_raw AS flop_raw,
       try_divide(r.flop_refining, 6 * m.parameters * t.tokens_kept) AS refining_to_training,
       r.flop_refining + 6 * m.parameters * t.tokens_kept AS flop_total
FROM VALUES {sizes} AS m(model_size, parameters) CROSS JOIN tokens AS t CROSS JOIN refining AS r"""


VIEWS = {
    "v_token_flow": ("documents", "refined"),
    "v_programs": ("programs",),
    "v_cost": ("documents", "refined", "runs"),
}
"""The views and the tables that each is made of."""
