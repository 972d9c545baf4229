"""Training samples: right labels at the right places, varied pages, reproducible blocks."""

from __future__ import annotations

import random

from tokenizers import Tokenizer

from spark_prox.annotation.document_labels import content_quality, labelled_document
from spark_prox.annotation.labels import LabelledPage
from spark_prox.prompts.compact import CompactPrompt
from spark_prox.training.embedded.augment import augmented, recombine, shortened, thin_boilerplate
from spark_prox.training.embedded.data import TrainingData, mix_labels
from spark_prox.training.embedded.samples import chunk_samples, document_sample, pack_batches
from spark_prox.training.synthetic import synthetic_pages


def page(lines: list[str], keep: list[float]) -> LabelledPage:
    return LabelledPage(page_id="p", source="s", lines=tuple(lines), keep=tuple(keep))


def test_each_read_position_has_its_own_lines_label(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    lines = [f"river {'mountain ' * (n % 3)}" for n in range(200)]
    keep = [float(n % 3 == 0) for n in range(200)]
    for sample in chunk_samples(page(lines, keep), prompt, random.Random(1)):
        names = [tokenizer.id_to_token(sample.ids[place]) for place in sample.read_at]
        half = len(names) // 2
        assert names[:half] == names[half:] == [f"<L{n}>" for n in range(half)]
        assert sample.keep[:half] == sample.keep[half:]
        assert set(sample.keep) == {0.0, 1.0}
        spans = tokenizer.decode(list(sample.ids), skip_special_tokens=True)
        assert "river" in spans


def test_labels_follow_their_lines_through_random_chunk_borders(prompt: CompactPrompt, tokenizer: Tokenizer) -> None:
    lines = ["captain" if n % 2 else "river" for n in range(150)]
    keep = [float(n % 2) for n in range(150)]
    for seed in range(5):
        for sample in chunk_samples(page(lines, keep), prompt, random.Random(seed)):
            body = sample.read_at[: len(sample.read_at) // 2]
            for place, label in zip(body, sample.keep, strict=False):
                word = tokenizer.id_to_token(sample.ids[place - 1])
                assert (word == "Ġcaptain") == bool(label)


def test_a_long_line_weighs_more_than_a_menu_entry(prompt: CompactPrompt) -> None:
    (sample,) = chunk_samples(page(["word " * 49, "Home"], [1.0, 0.0]), prompt, random.Random(0))
    long, short = sample.weights[2:]
    assert long == 7.0
    assert short == 1.0


def test_recombining_puts_one_pages_content_between_anothers_menus() -> None:
    frame = page(["menu", "own", "footer"], [0.0, 1.0, 0.0])
    body = page(["nav", "b1", "ad", "b2"], [0.0, 1.0, 0.0, 1.0])
    made = recombine(frame, body)
    assert made.lines == ("menu", "b1", "ad", "b2", "footer")
    assert made.keep == (0.0, 1.0, 0.0, 1.0, 0.0)
    assert recombine(frame, page(["nav"], [0.0])) is frame


def test_short_pages_have_content_and_little_around_it() -> None:
    lines, keep = [f"menu {n}" for n in range(50)], [0.0] * 50
    whole = page([*lines, *(f"prose {n}" for n in range(90)), *lines], [*keep, *[1.0] * 90, *keep])
    source = random.Random(3)
    for _ in range(100):
        short = shortened(whole, source)
        assert 1 <= sum(short.keep) <= 40
        assert len(short.lines) - sum(short.keep) <= 24
        assert [float(line.startswith("prose")) for line in short.lines] == list(short.keep)
    assert shortened(page(["nav"], [0.0]), source).lines == ("nav",)


def test_thinning_leaves_out_boilerplate_alone() -> None:
    whole = page(["menu"] * 60 + ["text"] * 5, [0.0] * 60 + [1.0] * 5)
    thin = thin_boilerplate(whole, random.Random(3), share=0.5)
    assert thin.lines.count("text") == 5
    assert 0 < thin.lines.count("menu") < 60


def test_some_pages_are_shown_without_boilerplate() -> None:
    pages = synthetic_pages(30)
    source = random.Random(0)
    varied = [augmented(pages, n % 30, source, share=1.0) for n in range(200)]
    assert any(min(made.keep) >= 0.5 for made in varied)
    assert [augmented(pages, n, random.Random(0), share=0.0) for n in range(30)] == pages


def test_batches_stay_under_the_token_budget_and_hold_every_sample(prompt: CompactPrompt) -> None:
    samples = [document_sample([f"river {'x ' * n}"] * n, 1.0, prompt) for n in range(1, 60)]
    batches = pack_batches(samples, batch_tokens=1500, source=random.Random(0))
    assert sorted(len(s.ids) for batch in batches for s in batch) == sorted(len(s.ids) for s in samples)
    for batch in batches:
        assert len(batch) == 1 or max(len(s.ids) for s in batch) * len(batch) <= 1500


def test_a_block_depends_on_the_seed_and_its_number_alone(prompt: CompactPrompt) -> None:
    def data(seed: int) -> TrainingData:
        return TrainingData(
            synthetic_pages(12), prompt, batch_tokens=2048, augment_share=0.5, documents_per_page=0.5, seed=seed
        )

    first = data(1)
    first.block(0)
    assert first.block(3) == data(1).block(3)
    assert first.block(3) != first.block(4)
    assert first.block(3) != data(2).block(3)


def test_targets_are_mixed_in_the_given_proportion() -> None:
    (mixed,) = mix_labels([page(["a", "b"], [1.0, 0.0])], [[0.5, 0.5]], gold_share=0.6)
    assert mixed.keep == (0.8, 0.2)


def test_made_up_documents_are_both_good_and_bad_and_never_empty() -> None:
    source = random.Random(0)
    made = [labelled_document(page, source) for page in synthetic_pages(40) for _ in range(5)]
    assert all(any(line.strip() for line in lines) for lines, _ in made)
    good = sum(keep >= 0.5 for _, keep in made)
    assert 20 < good < 180


def test_longer_content_in_sentences_is_worth_more() -> None:
    sentence = "The river carried the letter from the mountain to the harbour."
    assert content_quality([sentence] * 20) > content_quality([sentence] * 3) > content_quality(["Home", "Login"])
    assert content_quality([sentence] * 20) > content_quality([sentence.rstrip(".")] * 20)
