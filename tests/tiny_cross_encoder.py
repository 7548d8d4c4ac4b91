"""A cross-encoder of two layers with random weights, written as any other is: it runs in milliseconds."""

from pathlib import Path

WORDS = ("sun", "moon", "star", "mice", "eat", "cheese", "the", "is", "a", "at", "night", "red", "sea", "ship")
LONGEST = 32  # tokens of a pair, its special ones included


def write(folder: Path, *, labels: int = 1) -> str:
    """Write one; labels: more than one classify, and rank nothing."""
    import torch
    from tokenizers import Tokenizer  # type: ignore[import-untyped]
    from tokenizers.models import WordPiece  # type: ignore[import-untyped]
    from tokenizers.pre_tokenizers import Whitespace  # type: ignore[import-untyped]
    from tokenizers.processors import BertProcessing  # type: ignore[import-untyped]
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=LONGEST,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LONGEST,
        num_labels=labels,
        initializer_range=0.5,  # far enough apart that an order is no rounding
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)
