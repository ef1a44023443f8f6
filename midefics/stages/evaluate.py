"""A data set and an adapter in, evidence out: what base and tuned model answer to the same held-out questions."""

import json
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from midefics.config import RunConfig
from midefics.errors import DataError
from midefics.evidence.held_out import evenly, held_out, questions
from midefics.evidence.report import pick_examples, write_report
from midefics.evidence.scores import Answered, normalised
from midefics.evidence.summary import summary
from midefics.records import Manifest, Row
from midefics.services import Services

log = logging.getLogger(__name__)


class Question(NamedTuple):
    """One turn of a held-out conversation, asked on its own so that no earlier answer gives it away."""

    row: Row
    text: str
    truth: str
    other: Row
    """Whose image is shown in the swap control."""


def run(config: RunConfig, dataset: Manifest, adapter: Manifest, *, services: Services) -> Manifest:
    """Asks the base model, the tuned model, and the tuned model with swapped images; scores and reports.

    Raises:
        DataError: the test split holds no questions.
    """
    started = time.monotonic()
    asked = _questions(services.storage.rows(dataset), config)
    if not asked:
        raise DataError(
            f"dataset {dataset.digest[:16]} holds out no questions; assemble it with a larger assemble.test_share"
        )
    log.info(
        "evaluate: %s questions about %s images, three ways",
        len(asked),
        len({question.row.id for question in asked}),
    )
    answered = _ask(config, adapter, asked, _majority(dataset, services), services)
    facts = summary(answered)
    with services.storage.draft("evaluation", [dataset.digest, adapter.digest]) as draft:
        with (draft.path / "answers.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(one.model_dump_json() + "\n" for one in answered)
        history = json.loads((services.storage.folder(adapter) / "history.json").read_text(encoding="utf-8"))
        images = {question.row.id: (question.row.image, question.other.image) for question in asked}
        examples = pick_examples(answered, images, config.evaluate.examples)
        write_report(draft.path, config, dataset, facts, history, examples)
        draft.rows = len(answered)
        draft.facts.update({key: value for key, value in facts.items() if "/" not in key})
    manifest = draft.manifest
    run_id = str(adapter.facts["run_id"])
    services.tracking.log(run_id, {f"evaluation/{key}": value for key, value in facts.items()})
    services.tracking.log_folder(run_id, services.storage.folder(manifest), "evaluation")
    log.info("evaluate: exact match %.3f before, %.3f after, %.3f with swapped images, %.1f s",
             facts["before"], facts["after"], facts["swapped"], time.monotonic() - started)  # fmt: skip
    return manifest


def _questions(rows: Iterable[Row], config: RunConfig) -> list[Question]:
    """Every turn of the test split, or an even sample; each with a partner image of the same source, another group."""
    tested = list(held_out(rows))
    partners = _partners(tested, config.seed)
    every = [Question(row, turn.question, turn.answer, partners[row.id]) for row in tested for turn in questions(row)]
    return evenly(every, config.evaluate.max_questions or len(every))


def _partners(rows: list[Row], seed: int) -> dict[str, Row]:
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    chance = random.Random(seed)  # noqa: S311 (an experiment's draw, not a secret)
    partners = {}
    for same_source in by_source.values():
        for row in same_source:
            strangers = [other for other in same_source if other.group != row.group] or [
                other for other in rows if other.group != row.group
            ]
            partners[row.id] = chance.choice(strangers or [row])
    return partners


def _majority(dataset: Manifest, services: Services) -> dict[tuple[str, str], str]:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in services.storage.columns(dataset, "split", "source", "turns"):
        if row["split"] == "train":
            for turn in row["turns"]:
                counts[row["source"], normalised(turn["question"])][turn["answer"]] += 1
    return {key: answers.most_common(1)[0][0] for key, answers in counts.items()}


def _ask(
    config: RunConfig,
    adapter: Manifest,
    asked: list[Question],
    majority: dict[tuple[str, str], str],
    services: Services,
) -> list[Answered]:
    from midefics.vlm.base import locate
    from midefics.vlm.generate import Prompt, answers
    from midefics.vlm.load import load_tuned

    location = locate(config.base_model, services.settings.home, services.progress)
    tuned = load_tuned(location.folder, services.storage.folder(adapter) / "adapter", location.revision, location.side)
    right = [Prompt(question.text, question.row.image) for question in asked]
    wrong = [Prompt(question.text, question.other.image) for question in asked]
    limits = config.evaluate.batch_size, config.evaluate.max_new_tokens
    with services.progress.track("evaluate", 3 * len(asked)) as counter:
        with tuned.model.disable_adapter():
            before = answers(tuned, right, *limits, lambda done: counter.advance(done, "base"))
        after = answers(tuned, right, *limits, lambda done: counter.advance(done, "tuned"))
        swapped = answers(tuned, wrong, *limits, lambda done: counter.advance(done, "tuned, images swapped"))
    return [
        Answered(
            id=question.row.id, source=question.row.source, role=question.row.role, group=question.row.group, question=question.text, truth=question.truth,
            before=one, after=two, swapped=three, majority=majority.get((question.row.source, normalised(question.text)), ""),
        )
        for question, one, two, three in zip(asked, before, after, swapped, strict=True)
    ]  # fmt: skip
