from __future__ import annotations

from spark_prox.report.run_report import balance_report


def test_the_balance_of_tasks_is_told_by_stage_and_nothing_where_it_is_not_known() -> None:
    assert balance_report({}) == ""
    said = balance_report({"generate-doc": 1.0, "generate-chunk": 1.087})
    assert said == "largest task / its share, by the bytes to read: generate-doc 1.00, generate-chunk 1.09"
