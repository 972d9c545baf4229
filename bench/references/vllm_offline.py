"""Plain vLLM offline, as ProX's released script has it: `LLM.generate` for an interval of pages, a file for each.

vLLM batches continuously inside one call and drains between calls. A run that was killed starts from the beginning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench.references.work import command_line, read_pages
from spark_prox.prompts.builder import Prompt


def main() -> None:
    """Refine all pages."""
    work, _ = command_line(__doc__)
    from vllm import LLM, SamplingParams

    engine = LLM(model=work.model, dtype="float32", max_model_len=2048, max_num_seqs=64, disable_log_stats=True)

    def complete(prompts: Sequence[Prompt]) -> list[list[int]]:
        asked = [{"prompt_token_ids": list(prompt.token_ids)} for prompt in prompts]
        limits = [SamplingParams(temperature=0.0, max_tokens=prompt.max_new_tokens) for prompt in prompts]
        return [list(done.outputs[0].token_ids) for done in engine.generate(asked, limits, use_tqdm=False)]

    pages, folder = read_pages(work.pages), Path(work.output)
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(pages) // work.parts)
    for at in range(0, len(pages), size):
        rows = work.refine(pages[at : at + size], complete)
        (folder / f"{at:06d}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
