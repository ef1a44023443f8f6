"""A caption in, answers that tell it in other sentences out: whatever they say is grounded, and every alarm is a false one."""

import re
from collections.abc import Iterable, Iterator

from midefics.bench.grounding.scoring import Rate, Row
from midefics.grounding import problems
from midefics.records import Turn

_SENTENCE = re.compile(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z])")


def false_alarms(rows: Iterable[Row]) -> Rate:
    """Of the rows with a caption, those of which a retelling is objected to."""
    alarmed = [
        any(problems(source, metadata, [turn]) for turn in retold(str(metadata["caption"])))
        for source, metadata in rows
        if metadata.get("caption")
    ]
    return Rate(sum(alarmed), len(alarmed))


def retold(caption: str) -> Iterator[Turn]:
    """The caption as it is, after an introduction, sentence by sentence, and its first and last sentence alone."""
    sentences = [sentence for sentence in _SENTENCE.split(caption) if sentence]
    if not sentences:
        return
    yield Turn(question="What does the image show?", answer=caption)
    yield Turn(question="What is visible?", answer=f"The image shows {_inner(caption)}")
    yield Turn(question="Is there more?", answer=f"Yes. {sentences[-1]}")
    yield Turn(question="Please summarise.", answer=f"In summary, the image demonstrates {_inner(sentences[0])}")
    noted = " ".join(f"It can be noted that {_inner(sentence)}" for sentence in sentences)
    yield Turn(question="What else?", answer=noted)


def _inner(sentence: str) -> str:
    """The sentence as it goes on after other words: a small first letter, but for `CT`."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]
