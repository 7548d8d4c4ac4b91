"""What `benchmarks/embedding.py` compares ingest with: LlamaIndex's IngestionPipeline into Chroma.

    .heliostat/peers/llamaindex/bin/python benchmarks/llamaindex_ingest.py FOLDER CHROMA MODEL

The same weights and sizes of chunks; its own reader, splitter, batches and store. Prints {"seconds": …,
"chunks": …}; seconds without the imports and the loading of the model.
"""

import json
import sys
from time import perf_counter

import chromadb
from chromadb.config import Settings
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore
from transformers import AutoTokenizer

CHUNK, OVERLAP = 128, 16  # Heliostat's defaults


def main() -> None:
    """Ingest a folder into a fresh Chroma."""
    folder, chroma, model = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(model)
    splitter = TokenTextSplitter(
        chunk_size=CHUNK,
        chunk_overlap=OVERLAP,
        include_metadata=False,
        tokenizer=lambda text: tokenizer.tokenize(text),
    )
    embedder = HuggingFaceEmbedding(model_name=model, device="cpu")
    client = chromadb.PersistentClient(chroma, Settings(anonymized_telemetry=False))
    store = ChromaVectorStore(chroma_collection=client.create_collection("llamaindex"))
    pipeline = IngestionPipeline(transformations=[splitter, embedder], vector_store=store)
    begun = perf_counter()
    nodes = pipeline.run(documents=SimpleDirectoryReader(folder).load_data())
    print(json.dumps({"seconds": perf_counter() - begun, "chunks": len(nodes)}))


if __name__ == "__main__":
    main()
