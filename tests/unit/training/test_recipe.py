"""A recipe's arithmetic."""

from pipelines.training.recipe import RECIPES


def test_spark_chat_stays_as_small_as_promised() -> None:
    shape = RECIPES["spark-chat"].architecture
    assert shape.parameters * 2 < 10_000_000  # bytes, in bfloat16
    assert shape.head_dim * shape.heads == shape.hidden


def test_the_configuration_describes_the_architecture() -> None:
    shape = RECIPES["spark-chat"].architecture
    config = shape.config(begin=1, end=2, pad=0)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["hidden_size"] == shape.hidden
    assert config["tie_word_embeddings"] is True
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)
