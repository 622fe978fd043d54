"""Calls the clients of self-hosted servers and prints what they understood.

Run by a Python that has them: reads calls, one line of JSON each, and answers each with a line.
"""

import json
import sys


def infinity(url, key, query, documents):
    from infinity_client import AuthenticatedClient
    from infinity_client.api.default import embeddings, health, models, rerank
    from infinity_client.models import OpenAIEmbeddingInputText, RerankInput

    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        body = RerankInput(query=query, documents=documents, return_documents=True, top_n=2)
        ranked = rerank.sync(client=client, body=body)
        text = OpenAIEmbeddingInputText(input_=documents[:1])
        embedded = embeddings.sync(client=client, body=text)
        return {
            "results": [[one.index, one.relevance_score, one.document] for one in ranked.results],
            "tokens": ranked.usage.total_tokens,
            "dimensions": len(embedded.data[0].embedding),
            "models": [[one.id, one.capabilities] for one in models.sync(client=client).data],
            "healthy": health.sync(client=client)["unix"] > 0,
        }


def hugging_face(url, key, query, documents):
    from huggingface_hub import InferenceClient

    client = InferenceClient(token=key)
    vector = client.feature_extraction(query, model=f"{url}/embed", prompt_name="query")
    near = client.sentence_similarity(query, documents, model=f"{url}/similarity")
    return {"shape": list(vector.shape), "similarity": near}


def xinference(url, key, query, documents):
    from xinference_client import RESTfulClient

    client = RESTfulClient(url, api_key=key)
    model = client.get_model("bge-reranker-v2-m3")
    answer = model.rerank(documents, query, top_n=2, return_documents=True)
    return {
        "kind": type(model).__name__,
        "models": sorted(client.list_models()),
        "results": [
            [one["index"], one["relevance_score"], one["document"]["text"]]
            for one in answer["results"]
        ],
    }


def openai(url, key, query, documents):
    import openai

    client = openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0)
    answers = {
        # Without a format, the client asks for base64 and decodes it.
        coding: client.embeddings.create(model="local", input=documents, **members)
        for coding, members in {"": {}, "float": {"encoding_format": "float"}}.items()
    }
    first, second = ([one.embedding for one in answer.data] for answer in answers.values())
    try:
        client.embeddings.create(model="local", input=[[1, 2, 3]])
    except openai.BadRequestError as error:
        refused = error.body["message"]
    return {
        # Vectors have 32-bit numbers; the client reads decimals as 64-bit ones.
        "same": all(
            abs(one - other) < 1e-7
            for row, others in zip(first, second, strict=True)
            for one, other in zip(row, others, strict=True)
        ),
        "count": len(first),
        "tokens": answers[""].usage.total_tokens,
        "models": [model.id for model in client.models.list()],
        "refused": refused,
    }


CLIENTS = {
    "infinity": infinity,
    "hugging_face": hugging_face,
    "xinference": xinference,
    "openai": openai,
}

for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps(CLIENTS[call.pop("client")](**call)), flush=True)
