"""txtai with its hybrid index (BM25 and vectors) and content storage, as its documentation recommends."""

import torch  # type: ignore[import-not-found, unused-ignore]
from protocol import read_job, tell, time_searches
from tokenizers import Tokenizer
from txtai import Embeddings  # type: ignore[import-not-found, unused-ignore]
from txtai.pipeline import Segmentation  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    job = read_job()
    torch.set_num_threads(job.threads)
    tokenizer = Tokenizer.from_file(f"{job.model}/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    segment = Segmentation(chunker="recursive", tokenizer=tokenizer, chunk_size=job.chunk_tokens, cleantext=False)
    embeddings = Embeddings(path=job.model, content=True, hybrid=True, gpu=False)
    tell("ready")
    rows = [
        {"id": f"{name}:{number}", "text": text, "path": name}
        for name, whole in job.texts()
        for number, text in enumerate(segment(whole))
    ]
    tell("embedding")
    embeddings.index(rows)
    embeddings.save(job.state)
    tell("searchable")
    tell("embedded", chunks=len(rows), embedded=len(rows))
    time_searches(job, lambda question, limit: list(embeddings.search(question, limit)))


if __name__ == "__main__":
    main()
