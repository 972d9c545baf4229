"""Run the alternatives for real beside ours: the same pages, prompts, weights and lengths, both levels, end to end.

    upstream      transformers in synchronous padded batches, a file for each batch: ProX's way
    datatrove     its LocalPipelineExecutor with a block that does the same (its environment: --datatrove)
    vllm          plain vLLM offline, as ProX's released script calls it
    spark_udf     Spark with a naive pandas UDF
    ours          our job with the transformers engine
    ours_vllm     our job with the vLLM engine

One engine of one thread each, `local[1]` where there is Spark. Rounds take turns. Each is also killed when 60% of the
answers are there, and run again: the answers that the model gave more than once, and rows lost or doubled at the end.
--crossing runs upstream and ours on more pages: what one more page costs, and from how many on we are the cheaper one.

    python bench/alternatives.py --pages 60 --rounds 1 --skip vllm ours_vllm
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measured import ratios, spread, write_result
from bench.references.work import Work
from bench.watching import Watched, watch

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("upstream", "datatrove", "vllm", "spark_udf", "ours", "ours_vllm")
SCRIPTS = {
    "upstream": "upstream",
    "datatrove": "datatrove_executor",
    "vllm": "vllm_offline",
    "spark_udf": "spark_udf",
    "ours": "ours",
    "ours_vllm": "ours",
}
NOT_THERE = {
    "upstream": "no resume, no tables, one process, no faults caught",
    "datatrove": "resumes by whole tasks; no tables, no keys of programs, no change of policy without the model",
    "vllm": "no resume, no tables, one process",
    "spark_udf": "no resume, programs are not stored; pads as upstream",
    "ours": "",
    "ours_vllm": "",
}
KILL_AT = 0.6
JVM = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
"""As in conf/spark-local.conf, for both that run in Spark."""


def main() -> None:
    """Measure in turns, kill each once, print, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=96)
    parser.add_argument("--characters", type=int, default=1_500, help="most characters of a page")
    parser.add_argument("--new-tokens", type=int, default=24, help="of a chunk program; of a verdict 8")
    parser.add_argument("--width", type=int, default=320, help="of the random model, in ProX's shape")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16, help="prompts of one padded call")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], choices=NAMES)
    parser.add_argument("--skip", nargs="*", default=[], choices=NAMES)
    parser.add_argument("--crossing", type=int, default=768, metavar="PAGES", help="a larger size; 0 measures none")
    parser.add_argument("--no-kill", action="store_true", help="do not measure what a resume costs")
    parser.add_argument("--datatrove", default="", metavar="PYTHON", help="an interpreter that has datatrove")
    parser.add_argument("--output", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    names = [name for name in options.only or NAMES if name not in options.skip]
    absent = missing(names, options.datatrove)
    names = [name for name in names if name not in absent]
    with tempfile.TemporaryDirectory(prefix="alternatives-") as temporary:
        folder = Path(temporary)
        random_model(folder / "model", options.width, options.layers)
        write_pages(folder / "pages.jsonl", options.pages, options.characters)
        found: dict[str, list[Watched]] = {name: [] for name in names}
        for turn in range(options.rounds):
            for name in names:
                found[name].append(_run(name, folder / f"{name}-{turn}", folder, options))
                print(name, found[name][-1], flush=True)
        rows = speed_rows(found, options.pages)
        rows += [{"what": name, "left out": reason} for name, reason in absent.items()]
        keys = ("pages", "characters", "new_tokens", "width", "layers", "batch", "rounds", "crossing")
        settings = {key: getattr(options, key) for key in keys}
        write_result(options.output, "alternatives", settings, rows)  # the rounds stay, should the rest be cut short
        if not options.no_kill:
            rows += [_resume_row(name, found[name][0], folder, options) for name in names]
            write_result(options.output, "alternatives", settings, rows)
        if options.crossing > options.pages and {"upstream", "ours"} <= set(names):
            write_pages(folder / "pages.jsonl", options.crossing, options.characters)
            many = {name: _run(name, folder / f"{name}-many", folder, options) for name in ("upstream", "ours")}
            rows += crossing_rows(found, options.pages, many, options.crossing)
    for row in rows:
        print(row)
    write_result(options.output, "alternatives", settings, rows)


def missing(names: Sequence[str], datatrove: str) -> dict[str, str]:
    """The alternatives that cannot run here, and why."""
    found = {}
    if "datatrove" in names and not datatrove:
        found["datatrove"] = "no environment with datatrove (--datatrove PYTHON)"
    if find_spec("vllm") is None:
        found |= {name: "vLLM is not installed" for name in names if "vllm" in name}
    return found


def speed_rows(found: dict[str, list[Watched]], pages: int) -> list[dict[str, object]]:
    """Two rows for each alternative: what it cost, and that against the first one, round by round.

    What comes before the first answer (start, loading) is told apart: on a crawl it counts for nothing.
    """
    reference = next(iter(found.values()))
    rows: list[dict[str, object]] = []
    for name, runs in found.items():
        work = [run.cpu_s - run.first_cpu_s for run in runs]
        tokens = [run.prompt_tokens + run.output_tokens for run in runs]
        rows.append(
            {
                "what": name,
                "documents/s, start included": spread([pages / run.wall_s for run in runs]),
                "documents/s after the first answer": spread([pages / (run.wall_s - run.first_s) for run in runs]),
                "tokens/s after the first answer": spread(
                    [count / (run.wall_s - run.first_s) for count, run in zip(tokens, runs, strict=True)]
                ),
                "to the first answer, s": spread([run.first_s for run in runs]),
                "to the first answer, CPU s": spread([run.first_cpu_s for run in runs]),
                "CPU s after it": spread(work),
                "memory at most, MiB": spread([run.peak_mib for run in runs]),
                "answers": runs[0].answers,
            }
        )
    for name, runs in found.items():
        rows.append(
            {
                "what": f"{name} against {next(iter(found))}",
                "times as fast after the first answer": ratios(
                    [1 / (run.wall_s - run.first_s) for run in runs],
                    [1 / (run.wall_s - run.first_s) for run in reference],
                ),
                "by CPU s": ratios(
                    [1 / (run.cpu_s - run.first_cpu_s) for run in runs],
                    [1 / (run.cpu_s - run.first_cpu_s) for run in reference],
                ),
                "by CPU s, start included": ratios(
                    [1 / run.cpu_s for run in runs], [1 / run.cpu_s for run in reference]
                ),
                "what it does not do": NOT_THERE[name],
            }
        )
    return rows


def crossing_rows(
    few: Mapping[str, Sequence[Watched]], pages: int, many: Mapping[str, Watched], more: int
) -> list[dict[str, object]]:
    """The cost of one more page for each, and the number of pages from which the last one costs less than the first.

    Args:
        few, pages: the rounds on few pages; their median counts.
        many, more: one run of some of them on more pages.
    """
    rows: list[dict[str, object]] = []
    cost: dict[str, tuple[float, float]] = {}  # of one more page, of none
    for name, run in many.items():
        small = statistics.median(run.cpu_s for run in few[name])
        each = (run.cpu_s - small) / (more - pages)
        cost[name] = each, small - each * pages
        rows.append(
            {
                "what": f"{name}, {pages} and {more} pages",
                "CPU s, fewer pages": round(small, 1),
                "CPU s, more pages": round(run.cpu_s, 1),
                "CPU s of one more page": round(each, 3),
                "CPU s without a page": round(cost[name][1], 1),
                "documents/s, more pages, start included": round(more / run.wall_s, 2),
            }
        )
    first, *_, last = many
    saved, fixed = cost[first][0] - cost[last][0], cost[last][1] - cost[first][1]
    rows.append(
        {
            "what": f"{last} costs less CPU than {first}, start included",
            "from, pages": round(fixed / saved) if saved > 0 else "never",
            "at many pages, times": round(cost[first][0] / cost[last][0], 2),
        }
    )
    return rows


def _run(name: str, output: Path, folder: Path, options: argparse.Namespace, kill_at: int = 0) -> Watched:
    work = Work(
        pages=str(folder / "pages.jsonl"),
        model=str(folder / "model"),
        output=str(output),
        answers=str(folder / "answers"),
        new_tokens=options.new_tokens,
        doc_tokens=8,
        batch=options.batch,
        parts=4,
    )
    words = [sys.executable, "-m", f"bench.references.{SCRIPTS[name]}", json.dumps(dataclasses.asdict(work))]
    if name == "datatrove":
        packages = next(Path(options.datatrove).parent.parent.glob("lib/python*/site-packages"))
        words += ["--datatrove", str(packages)]
    if name.startswith("ours"):
        words += ["--engine", "vllm" if name == "ours_vllm" else "transformers"]
    log = folder / f"{name}.log"
    done = watch(words, environment(), folder / "answers", log, kill_at)
    if done.code and not kill_at:
        raise SystemExit(f"{name} ended with {done.code}:\n{log.read_text(errors='replace')[-3000:]}")
    return done


def environment() -> dict[str, str]:
    """One thread for each engine, no network, our code."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"--driver-memory 1g --driver-java-options '{JVM}' pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def _resume_row(name: str, whole: Watched, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Kill a run when 60% of its answers are there, run it again, and count."""
    output = folder / f"{name}-killed"
    killed = _run(name, output, folder, options, kill_at=int(KILL_AT * whole.answers))
    again = _run(name, output, folder, options)
    counts = Counter(row_ids(name, output))
    return {
        "what": f"{name}, killed at {KILL_AT:.0%} and run again",
        "answers before the kill": killed.answers,
        "answers given again": killed.answers + again.answers - whole.answers,
        "share of the work done again": round((killed.answers + again.answers) / whole.answers - 1, 3),
        "second run, s": round(again.wall_s, 1),
        "second run over a whole one, by CPU s": round(again.cpu_s / whole.cpu_s, 2),
        "rows lost": options.pages - len(counts),
        "rows doubled": sum(count - 1 for count in counts.values()),
    }


def row_ids(name: str, output: Path) -> Iterator[str]:
    """The ids of the rows that an alternative left."""
    if name.startswith("ours"):
        for table in ("refined", "rejects"):
            yield from _delta_ids(output / table)
    elif name == "spark_udf":
        for file in sorted(output.glob("*.parquet")):
            yield from _parquet_ids(file, "id")
    else:
        rows = output / "rows" if name == "datatrove" else output
        for file in sorted(rows.glob("*.jsonl")):
            yield from (json.loads(line)["id"] for line in file.read_text(encoding="utf-8").splitlines())


def _delta_ids(table: Path) -> Iterator[str]:
    """The ids of a Delta table of a few commits, from its log: no session is needed for that."""
    files: dict[str, bool] = {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for action in map(json.loads, commit.read_text(encoding="utf-8").splitlines()):
            for kind in ("add", "remove"):
                if kind in action:
                    files[action[kind]["path"]] = kind == "add"
    for path in (path for path, there in files.items() if there):
        yield from _parquet_ids(table / path, "doc_id")


def _parquet_ids(file: Path, column: str) -> list[str]:
    import pyarrow.parquet as pq

    found: list[str] = pq.ParquetFile(file).read([column]).column(0).to_pylist()
    return found


def random_model(folder: Path, width: int, layers: int) -> None:
    """Llama in the shape of ProX's refiners (one KV head, heads of 64), random weights, a tokenizer of our pages."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from spark_prox.training.embedded.tokenizer import save_tokenizer, train_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8192, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=width // 64, num_key_value_heads=1, max_position_embeddings=2048, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    lines = [line for text in example_texts() for line in text.split("\n")]
    save_tokenizer(train_tokenizer(lines, vocabulary=8192), folder, max_tokens=2048)


def write_pages(file: Path, count: int, characters: int) -> None:
    """The example pages, cut, each as often as needed under another id; every copy begins at another line.

    The lines before that one follow at the end, so that copies are as long as their page.
    """
    texts = example_texts()
    with file.open("w", encoding="utf-8") as stream:
        for number in range(count):
            lines = texts[number % len(texts)].split("\n")
            first = number // len(texts) % len(lines)
            text = "\n".join(lines[first:] + lines[:first])[:characters]
            stream.write(json.dumps({"id": f"page{number}", "text": text}) + "\n")


def example_texts() -> list[str]:
    """The texts of the pages that come with the project."""
    import gzip

    from spark_prox.sources.warc.archive import read_archive

    with gzip.open(ROOT / "examples" / "pages.warc.wet.gz", "rb") as stream:
        return [row.text for row in read_archive(stream) if row.text and len(row.text) > 300]


if __name__ == "__main__":
    main()
