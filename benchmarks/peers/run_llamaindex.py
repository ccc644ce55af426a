"""LlamaIndex with Chroma: split into chunks of whole sentences, embed, and keep all in a persistent collection."""

import torch  # type: ignore[import-not-found, unused-ignore]
from chromadb import PersistentClient  # type: ignore[import-not-found, unused-ignore]
from chromadb.config import Settings  # type: ignore[import-not-found, unused-ignore]
from llama_index.core import (  # type: ignore[import-not-found, unused-ignore]
    Document,
    StorageContext,
    VectorStoreIndex,
)
from llama_index.core.node_parser import SentenceSplitter  # type: ignore[import-not-found, unused-ignore]
from llama_index.embeddings.huggingface import HuggingFaceEmbedding  # type: ignore[import-not-found, unused-ignore]
from llama_index.vector_stores.chroma import ChromaVectorStore  # type: ignore[import-not-found, unused-ignore]
from protocol import read_job, tell, time_searches
from tokenizers import Tokenizer

EMBED_BATCH = 64
"""faster than its default of 10"""


def main() -> None:
    job = read_job()
    torch.set_num_threads(job.threads)
    embedder = HuggingFaceEmbedding(job.model, device="cpu", embed_batch_size=EMBED_BATCH)
    tokenizer = Tokenizer.from_file(f"{job.model}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    splitter = SentenceSplitter(
        chunk_size=job.chunk_tokens,
        chunk_overlap=0,
        tokenizer=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        include_metadata=False,
    )
    client = PersistentClient(job.state, settings=Settings(anonymized_telemetry=False))
    store = ChromaVectorStore(chroma_collection=client.create_collection("files"))
    tell("ready")
    documents = [
        Document(text=text, metadata={"path": name}, excluded_embed_metadata_keys=["path"])
        for name, text in job.texts()
    ]
    nodes = splitter.get_nodes_from_documents(documents)
    tell("embedding")
    storage = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex(nodes, storage_context=storage, embed_model=embedder)
    tell("searchable")
    tell("embedded", chunks=len(nodes), embedded=len(nodes))
    retrievers = {}

    def search(question: str, limit: int) -> list[object]:
        if limit not in retrievers:
            retrievers[limit] = index.as_retriever(similarity_top_k=limit)
        return list(retrievers[limit].retrieve(question))

    time_searches(job, search)


if __name__ == "__main__":
    main()
