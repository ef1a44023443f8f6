"""A tokenizer whose tokens can be counted by hand: one for every character."""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

LETTERS = "\n ?!.,:<>_/|-" + "abcdefghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "0123456789\ue000\ue001"


def letters(
    reserved: Sequence[str], added: Sequence[str], *, opens: bool = False, **roles: str
) -> PreTrainedTokenizerFast:
    """The arguments are those of `trained_tokenizer`, without the texts."""
    vocabulary = {token: number for number, token in enumerate([*reserved, *LETTERS])}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token=roles.get("unk_token", reserved[0])))
    model.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if opens:
        first = roles["bos_token"]
        model.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, vocabulary[first])]
        )
    return PreTrainedTokenizerFast(tokenizer_object=model, additional_special_tokens=list(added), **roles)
