"""Calls Haystack's rankers and prints what came out.

Run by a Python that has them: reads calls, one line of JSON each, and answers each with a line.
"""

import json
import os
import sys

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"


def cohere(url, key):
    from haystack_integrations.components.rankers.cohere import CohereRanker

    return CohereRanker(model="local", top_k=2, api_key=key, api_base_url=url)


def jina(url, key):
    from haystack_integrations.components.rankers.jina import JinaRanker

    return JinaRanker(model="local", api_key=key, base_url=f"{url}/v1/rerank")


def tei(url, key):
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

    return HuggingFaceTEIRanker(url=url, top_k=2, token=key)


def vllm(url, key):
    from haystack_integrations.components.rankers.vllm import VLLMRanker

    return VLLMRanker(model="local", api_base_url=f"{url}/v1", top_k=2, api_key=key)


CLIENTS = (cohere, jina, tei, vllm)


def rank(client, url, key, query, documents):
    from haystack import Document
    from haystack.utils import Secret

    ranker = client(url, Secret.from_token(key))
    if hasattr(ranker, "warm_up"):
        ranker.warm_up()
    found = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    # Jina's ranker has no limit here: it sends `top_n: null`.
    return [[one.content, one.score] for one in found["documents"]][:2]


for line in sys.stdin:
    call = json.loads(line)
    answers = {client.__name__: rank(client, **call) for client in CLIENTS}
    print(json.dumps(answers), flush=True)
