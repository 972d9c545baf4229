"""Measure the cost of a document around the model: a whole `refine` whose engine only answers, in CPU milliseconds.

Writes documents of realistic sizes, refines them in a process of its own (local Spark, a JVM of 2 GiB), and takes CPU
seconds at the borders of stages, by process. Beside that, in one process without Spark, the Python callables of the
same stages on some of the documents (`bare`). Two sizes give the cost of one more document and the fixed cost of a run.

    python bench/overhead.py                                     # 4,000 and 20,000 documents, both kinds of prompts
    python bench/overhead.py --documents 20000 100000 --modes page --output overhead.json

Modes: `text` asks with ProX's templates, a prompt for each level; `page` with the embedded encoder's prompt, one for
both levels. No mode runs a model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.cpu_times import CpuTimes
from bench.made_documents import documents, write_documents
from bench.overhead_runs import in_process

STAGES = ("ingest", "generate-doc", "generate-chunk", "execute")
Row = dict[str, object]


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[4_000, 20_000], help="up to 400,000")
    parser.add_argument("--modes", nargs="+", choices=("text", "page"), default=["text", "page"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    parser.add_argument("--folder", type=Path, help="where documents and tables go; a temporary one by default")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in jobs/refine.py")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="overhead-") as temporary:
        folder = options.folder or Path(temporary)
        for mode in options.modes:
            settings = [*mode_settings(mode, folder / "model"), *options.settings]
            bare = in_process("measure_bare", settings, options.seed)
            master = f"spark={json.dumps({'spark.master': f'local[{options.cores}]', 'spark.ui.enabled': 'false'})}"
            sizes: dict[int, dict[str, CpuTimes]] = {}
            for count in sorted(options.documents):
                source, warehouse = folder / f"in-{count}", folder / f"warehouse-{mode}-{count}"
                if not source.exists():
                    write_documents(source, count, options.seed)
                found = in_process("measure_run", [*settings, master], str(source), str(warehouse))
                sizes[count] = {name: CpuTimes(**times) for name, times in found.items()}
                shutil.rmtree(warehouse)
                print(markdown(stage_rows(mode, count, sizes[count], bare)), flush=True)
                rows += stage_rows(mode, count, sizes[count], bare)
            rows += marginal_rows(mode, sizes, bare)
            print(markdown(rows[-len(STAGES) - 1 :]), flush=True)
    settings_shown = {key: getattr(options, key) for key in ("documents", "seed", "cores", "settings")}
    if options.output:
        result = {"name": "overhead", "settings": settings_shown, "rows": rows}
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def mode_settings(mode: str, folder: Path) -> list[str]:
    """As for `--set`; makes the model's folder where a mode needs one."""
    if mode == "page":
        return ["model.path=embedded"]
    return [f"model.path={text_model(folder)}", "model.engine=scripted", "model.script=remove_lines(start=0, end=0)"]


def text_model(folder: Path) -> Path:
    """A model's folder with a tokenizer of 8,192 tokens, and weights that nothing reads."""
    import numpy as np
    from safetensors.numpy import save_file

    from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer

    if not (folder / "config.json").exists():
        tokenizer = train_tokenizer((text for *_, text in documents(200)), vocabulary=8192)
        save_tokenizer(tokenizer, folder, max_tokens=2048)
        save_file({"model.norm.weight": np.ones(2, np.float32)}, folder / "model.safetensors")
        (folder / "config.json").write_text('{"model_type": "llama", "bos_token_id": 1}', encoding="utf-8")
    return folder


def stage_rows(mode: str, count: int, found: Mapping[str, CpuTimes], bare: Mapping[str, float]) -> list[Row]:
    """One row a stage, and one for all of them: CPU milliseconds a document, fixed costs included."""
    times = {stage: found[stage] for stage in STAGES}
    times["all"] = sum(times.values(), CpuTimes())
    rows = [_row(mode, str(count), stage, some, count, bare) for stage, some in times.items()]
    start = found["start"]
    rows.append({"mode": mode, "documents": str(count), "stage": "start, CPU s in all", "all": round(start.total, 1)})
    return rows


def marginal_rows(mode: str, sizes: Mapping[int, Mapping[str, CpuTimes]], bare: Mapping[str, float]) -> list[Row]:
    """One row a stage: what one more document costs between the smallest and the largest size, and the fixed cost."""
    if len(sizes) < 2:
        return []
    small, large = min(sizes), max(sizes)
    total = {count: sum((found[stage] for stage in STAGES), CpuTimes()) for count, found in sizes.items()}
    rows = []
    for stage in (*STAGES, "all"):
        few, many = (total[count] if stage == "all" else sizes[count][stage] for count in (small, large))
        more = many - few
        row = _row(mode, f"{small} to {large}", stage, more, large - small, bare)
        rows.append({**row, "fixed, CPU s": round(few.total - more.total * small / (large - small), 1)})
    return rows


def _row(mode: str, which: str, stage: str, times: CpuTimes, count: int, bare: Mapping[str, float]) -> Row:
    alone = sum(bare.values()) if stage == "all" else bare[stage]
    each = 1000 / count
    return {
        "mode": mode,
        "documents": which,
        "stage": stage,
        "jvm": round(times.jvm * each, 3),
        "workers": round(times.workers * each, 3),
        "driver": round(times.driver * each, 3),
        "all": round(times.total * each, 3),
        "bare": round(alone, 3),
        "ratio": round(times.total * each / alone, 2) if alone else None,
    }


def markdown(rows: Sequence[Row]) -> str:
    """A table of CPU milliseconds a document."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
