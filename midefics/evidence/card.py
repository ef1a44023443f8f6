"""A run's figures in, a model card in Hugging Face's format out."""

from collections.abc import Sequence
from typing import NamedTuple

from midefics import __version__
from midefics.base_models import base_model
from midefics.config import RunConfig
from midefics.evidence.rules import as_markdown, assess
from midefics.records import Manifest

BODY = """# {name}

{base} fine-tuned with QLoRA (nf4, double quantisation, LoRA r {r}, alpha {alpha}, targets `{targets}`) to answer questions about
medical images from {sources}.

**Intended use.** Research on medical visual question answering. **Not for clinical decisions**, and not for patients:
its answers have been compared with text made from archive metadata, never with a clinician's judgement.

## What it was made of

| | |
| --- | --- |
| data set | `{dataset}` |
| images | {train} to train on, {validation} to validate, {test} held out, split by patient, lesion or article |
| conversations written by | {writers} |
| licences of the images | {licences} |
| training | {steps} steps, loss {loss_first} to {loss_last} |
| midefics | {version} |

## What it can do

Exact match on {questions:.0f} held-out questions: base {before:.3f}, tuned **{after:.3f}**
(difference {difference:+.3f}, 95 % interval {difference_low:+.3f} to {difference_high:+.3f}, clustered by patient, lesion or article).
With the image swapped for another of the same archive: {swapped:.3f}. Most frequent answer of training, looking at nothing: {majority:.3f}.

{rules}

## Limits

It knows the kinds of image, question and answer it was trained on and nothing else, states no uncertainty, and answers wrongly
with the same confidence as rightly. A high score on drawn or metadata-made questions says little about real patients.
"""


class ModelCard(NamedTuple):
    """A model card in its two parts."""

    metadata: str
    """YAML, with the evaluation in it."""
    body: str
    """Markdown: what a registry shows."""

    def __str__(self) -> str:
        """The file, as the Hugging Face hub wants it."""
        return f"---\n{self.metadata}\n---\n\n{self.body}"


def model_card(
    config: RunConfig,
    dataset: Manifest,
    adapter: Manifest,
    evaluation: Manifest,
    licences: Sequence[str],
    writers: Sequence[str],
) -> ModelCard:
    """Writes the card."""
    from huggingface_hub import EvalResult, ModelCardData

    spec, facts = (
        base_model(config.base_model),
        {key: value for key, value in evaluation.facts.items() if isinstance(value, int | float)},
    )
    result = EvalResult(
        task_type="visual-question-answering", dataset_type="midefics", dataset_name=f"held-out questions of {dataset.digest[:16]}",
        metric_type="exact_match", metric_value=round(float(facts["after"]), 4),
    )  # fmt: skip
    metadata = ModelCardData(
        model_name=config.register_.model_name, base_model=spec.hub_id or config.base_model, language="en", license="other",
        library_name="peft", pipeline_tag="visual-question-answering", tags=["medical", "qlora", spec.architecture], eval_results=[result],
    )  # fmt: skip
    body = BODY.format(
        name=config.register_.model_name, base=config.base_model, version=__version__, dataset=dataset.digest,
        r=config.train.lora.r, alpha=config.train.lora.alpha, targets=config.train.lora.targets,
        sources=", ".join(source.upper() for source in config.sources), train=dataset.facts["train_rows"],
        validation=dataset.facts["validation_rows"], test=dataset.facts["test_rows"], writers=", ".join(writers),
        licences=", ".join(licences), steps=adapter.facts["steps"], loss_first=adapter.facts["loss_first"],
        loss_last=adapter.facts["loss_last"], rules=as_markdown(assess(facts, config.promote)), **facts,
    )  # fmt: skip
    return ModelCard(metadata.to_yaml(), body)
