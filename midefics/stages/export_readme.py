"""What was exported and how far it is from what was trained in, the README that goes with it out."""

from typing import TYPE_CHECKING

from midefics.base_models import base_model
from midefics.records import Manifest
from midefics.vlm.formats import Format

if TYPE_CHECKING:
    from midefics.vlm.compare import Difference

MERGED = """from transformers import AutoModelForImageTextToText, AutoTokenizer

model = AutoModelForImageTextToText.from_pretrained(".", device_map="auto")
tokenizer = AutoTokenizer.from_pretrained(".")"""
BUNDLE = """from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoTokenizer

base = AutoModelForImageTextToText.from_pretrained("base", device_map="auto")
model = PeftModel.from_pretrained(base, "adapter").eval()
tokenizer = AutoTokenizer.from_pretrained("base")"""
NEEDS: dict[Format, str] = {
    "merged-bf16": "transformers",
    "merged-int8": "transformers, bitsandbytes, accelerate",
    "merged-nf4": "transformers, bitsandbytes, accelerate",
    "bundle": "transformers, peft, bitsandbytes, accelerate",
}
TRAINING_ON = """Set `model.loss_function` yourself before training on it: transformers 5.23 forgets IDEFICS' added tokens in its own.

"""
SAYS: dict[Format, str] = {
    "merged-bf16": "The quantised base unpacked, plus the adapter, in bfloat16: one model that needs no adapter.",
    "merged-int8": "The quantised base unpacked, plus the adapter, in eight bits (LLM.int8).",
    "merged-nf4": "The quantised base unpacked, plus the adapter, rounded to four bits again.",
    "bundle": "The quantised base and the adapter as they were trained and evaluated, side by side.",
}


def readme(shape: Format, found: "Difference", adapter: Manifest, base: Manifest) -> str:
    """Markdown: what it is, how to load it without the hub, what it loses."""
    return f"""# {adapter.facts["base_model"]}, fine-tuned: {shape}

{SAYS[shape]} For research, not for clinical decisions. Made of adapter `{adapter.digest[:16]}` and base `{base.digest[:16]}`.

Nothing is fetched to load it. In this folder, with {NEEDS[shape]}:

```python
{BUNDLE if shape == "bundle" else MERGED}
```

{TRAINING_ON if base_model(str(base.facts["base_model"])).architecture == "idefics" else ""}Against base and adapter as they were trained, on {found.questions} held-out questions ({found.tokens} tokens of true answers):

| | trained | this export |
| --- | ---: | ---: |
| nats per token | {found.nll_reference:.4f} | {found.nll_export:.4f} |
| exact match | {found.exact_match_reference:.3f} | {found.exact_match_export:.3f} |
| answers changed | | {found.answers_changed} ({found.answers_lost} right ones lost, {found.answers_gained} gained) |
| divergence (KL), nats per token | | {found.kl:.5f} |
"""
