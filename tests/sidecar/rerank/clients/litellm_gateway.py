"""Calls rerank APIs through each of LiteLLM's providers and prints what came out.

Run by a Python that has it: reads calls, one line of JSON each, and answers each with a line.
"""

import json
import os
import sys

# Prices are otherwise fetched from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


def rerank(provider, url, key, query, documents):
    import litellm

    answer = litellm.rerank(
        model=f"{provider}/local",
        query=query,
        documents=documents,
        top_n=2,
        api_base=url,
        api_key=key,
        # LiteLLM asks for them by default, in a request that is the same for vLLM and Infinity.
        return_documents=provider != "infinity",
    )
    # TEI has no `top_n`, so LiteLLM gets all of its results.
    return [[one["index"], one["relevance_score"]] for one in answer.results][:2]


def embed(provider, url, key, query, documents):
    import litellm

    answer = litellm.embedding(
        model=f"{provider}/local", input=documents, api_base=f"{url}/v1", api_key=key
    )
    return len(answer.data)


for line in sys.stdin:
    call = json.loads(line)
    work = embed if call.pop("what") == "embed" else rerank
    print(json.dumps(work(**call)), flush=True)
