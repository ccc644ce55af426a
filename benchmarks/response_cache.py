"""How often the response cache would give the reply of another question, when it looks for similar ones.

    python benchmarks/response_cache.py QUESTIONS.jsonl.gz… [--limit N] [--json]

Each line has a question (`question`, `text`, `query` or `prompt`). Questions of one group have one answer: the group is
`group`, else the list `relevant`, else the line itself. The model is all-MiniLM-L6-v2, as `intelforge models pull`
fetches it. No reply is asked for: what is counted is which question each would find, were all others in the cache.
"""

import argparse
import asyncio
import dataclasses
import json
from pathlib import Path

from intelforge.index.onnx import open_embedder
from intelforge.models.response_cache.measure import measure
from intelforge.models.response_cache.questions import read_questions


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=3000, help="questions of each file")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    embedder = open_embedder("onnx:all-MiniLM-L6-v2")
    for file in arguments.files:
        questions = read_questions(file)[: arguments.limit]
        vectors = await embedder.embed([question.text for question in questions])
        found = measure(questions, vectors)
        if arguments.json:
            print(json.dumps({"file": file.name, "measured": [dataclasses.asdict(one) for one in found]}))
            continue
        print(f"{file.name}: {len(questions)} questions")
        for one in found:
            share = f"{one.false_hits_by_vector / one.questions:7.2%} by vectors alone"
            hits = "" if one.hit_rate is None else f", {one.hit_rate:.1%} of repeated ones found"
            print(f"  {one.threshold:.2f}  {one.false_hit_rate:7.2%} wrong, {share}{hits}")
        for first, second in found[-3].examples[:3]:
            print(f"    at {found[-3].threshold}: {first[:90]!r} given the reply to {second[:90]!r}")


if __name__ == "__main__":
    asyncio.run(main())
