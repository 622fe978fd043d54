"""Calls rerank APIs through LangChain and LlamaIndex and prints what came out.

Run by a Python that has them: reads calls, one line of JSON each, and answers each with a line.
"""

import json
import sys


def langchain_cohere(url, key, query, documents):
    from langchain_cohere import CohereRerank

    reranker = CohereRerank(base_url=url, cohere_api_key=key, model="local", top_n=2)
    return _compress(reranker, query, documents)


def langchain_voyage(url, key, query, documents):
    from langchain_voyageai import VoyageAIRerank

    reranker = VoyageAIRerank(voyage_api_key=key, base_url=url + "/v1", model="local", top_k=2)
    return _compress(reranker, query, documents)


def _compress(reranker, query, documents):
    from langchain_core.documents import Document

    found = reranker.compress_documents([Document(text) for text in documents], query)
    return [[one.page_content, one.metadata["relevance_score"]] for one in found]


def llama_index_cohere(url, key, query, documents):
    from llama_index.postprocessor.cohere_rerank import CohereRerank

    reranker = CohereRerank(api_key=key, base_url=url, model="local", top_n=2)
    return _postprocess(reranker, query, documents)


def llama_index_tei(url, key, query, documents):
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    reranker = TextEmbeddingInference(base_url=url, auth_token=f"Bearer {key}", top_n=2)
    return _postprocess(reranker, query, documents)


def llama_index_jina(url, key, query, documents):
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    reranker = JinaRerank(api_key=key, base_url=f"{url}/v1", model="local", top_n=2)
    return _postprocess(reranker, query, documents)


def llama_index_xinference(url, key, query, documents):
    from llama_index.postprocessor.xinference_rerank import XinferenceRerank

    reranker = XinferenceRerank(base_url=url, model="local", top_n=2)
    return _postprocess(reranker, query, documents)


def _postprocess(reranker, query, documents):
    from llama_index.core.schema import NodeWithScore, TextNode

    nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
    found = reranker.postprocess_nodes(nodes, query_str=query)
    return [[one.node.get_content(), one.score] for one in found]


CLIENTS = (
    *(langchain_cohere, langchain_voyage, llama_index_cohere, llama_index_tei),
    *(llama_index_jina, llama_index_xinference),
)

for line in sys.stdin:
    call = json.loads(line)
    names = call.pop("clients")
    answers = {client.__name__: client(**call) for client in CLIENTS if client.__name__ in names}
    print(json.dumps(answers), flush=True)
