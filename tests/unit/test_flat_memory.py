"""What one document of 20 MB costs a Python worker: about the document, not a hundred times of it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_models import llama2_style_tokenizer

SIZE = 20_000_000  # bytes: input.max_text_chars
BOUND = 8  # bytes for each of the document's: 4 are used; 20 to 70 where all its prompts are in memory together
WORDS = [f"word{number}" for number in range(500)]

WORKER = """
import sys
from pathlib import Path

from tokenizers import Tokenizer

from spark_prox.documents import Document
from spark_prox.engines.scripted import ScriptedEngine
from spark_prox.generation import generate_programs
from spark_prox.prompts.builder import PromptSpec, builder_for
from spark_prox.prompts.templates import TEMPLATES
from spark_prox.prompts.text_builder import TextPromptBuilder

kind, stage, folder = sys.argv[1:]
engine = ScriptedEngine("keep_chunk()", 1.0)
limits = {"max_prompt_tokens": 2048, "max_chunk_tokens": 1000, "max_new_tokens": 64}
if kind == "embedded":
    builder = builder_for(PromptSpec(template=TEMPLATES[f"page-{stage}"], model_path=kind, **limits))
else:
    tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    spec = PromptSpec(template=TEMPLATES[f"prox-{stage}"], model_path=kind, **limits)
    builder = TextPromptBuilder(spec, tokenizer, bos_token_id=1)


def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def rows(text):
    return sum(1 for _ in generate_programs([Document(doc_id="d", text=text)], engine, builder, stage=stage))


rows("a few words\\n" * 500)
before = peak()
count = rows(Path(folder, "text").read_text())
print(count, peak() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tokenizer is, and the document's text is put."""
    folder = tmp_path_factory.mktemp("memory")
    llama2_style_tokenizer().save(str(folder / "tokenizer.json"))  # type: ignore[attr-defined]
    return folder


def used(kind: str, stage: str, folder: Path, text: str) -> tuple[int, int]:
    """Rows, and the growth of a process of its own, in bytes: what the tokenizer holds counts as well."""
    (folder / "text").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", WORKER, kind, stage, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, size = done.stdout.split()
    return int(rows), int(size)


def line(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["embedded", "prox"])
def test_a_document_of_few_giant_lines_costs_little_more_than_its_text(kind: str, folder: Path) -> None:
    source = random.Random(0)
    text = "\n".join(line(source, SIZE // 10 // 8) for _ in range(10))
    rows, size = used(kind, "chunk", folder, text)
    assert rows == (1 if kind == "embedded" else 10)
    assert size < BOUND * len(text)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("kind", "stage"), [("embedded", "chunk"), ("embedded", "doc"), ("prox", "chunk")])
def test_a_document_of_many_lines_costs_little_more_than_its_text(kind: str, stage: str, folder: Path) -> None:
    source = random.Random(0)
    text = "\n".join(f"{number} {line(source, 8)}" for number in range(SIZE // 65))
    rows, size = used(kind, stage, folder, text)
    assert rows > (100 if kind == "embedded" else 1_000) or stage == "doc"
    assert size < BOUND * len(text)
