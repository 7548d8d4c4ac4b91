"""OpenAI's vector stores: collections that files of `/v1/files` are put into, and searched."""
