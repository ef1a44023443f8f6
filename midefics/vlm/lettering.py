"""Texts in, a tokenizer out: for models that the project builds itself."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 512


def trained_tokenizer(
    texts: Sequence[str], reserved: Sequence[str], added: Sequence[str], *, opens: bool = False, **roles: str
) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be encoded.

    Args:
        texts: what the merges are learnt from.
        reserved: special tokens that get the first ids.
        added: special tokens that get the last ids, after the vocabulary.
        opens: whether every text begins with the token of the beginning, as LLaMA's tokenizer has it.
        roles: `bos_token`, `eos_token`, `pad_token`, `unk_token`: which token plays it.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(reserved),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if opens:
        first = roles["bos_token"]
        bpe.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, bpe.token_to_id(first))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, padding_side="left", additional_special_tokens=list(added), **roles
    )
