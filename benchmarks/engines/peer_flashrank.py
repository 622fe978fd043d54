"""FlashRank, run by the Python of its own environment, so it imports nothing of the sidecar.

python peer_flashrank.py MODELS_FOLDER MODEL_NAME
"""

import json
import sys
import time


def main() -> None:
    from flashrank import Ranker, RerankRequest

    ranker = Ranker(model_name=sys.argv[2], cache_dir=sys.argv[1], log_level="ERROR")
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        passages = [{"id": number, "text": text} for number, text in enumerate(order["texts"])]
        scores = []
        started = time.perf_counter()
        for query in order["queries"]:
            ranked = ranker.rerank(RerankRequest(query=query, passages=list(passages)))
            scores.append({one["id"]: float(one["score"]) for one in ranked})
        seconds = time.perf_counter() - started
        rows = [[row[number] for number in range(len(passages))] for row in scores]
        print(json.dumps({"seconds": seconds, "scores": rows}), flush=True)


if __name__ == "__main__":
    main()
