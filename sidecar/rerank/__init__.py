"""The door for rerank and embedding APIs: their clients get their answers from the local models.

    bearer_paths.py      /rerank, /v1/rerank, ...             tencent_service.py   RunRerank at /
         | request.py or tei.py reads the request;                | tencent.py reads and writes
         | forms.py chooses which file writes                     | tencent_signatures.py verifies
         | the answer                                             |
         +--------------------------+-----------------------------+
                              reranker.py    documents in, one logit each
                                    |
                      sidecar/logits.py      what the number means

file                  | what it is for
----------------------+-----------------------------------------------------------------
door.py               | the door: what all of these APIs share, start and end
refusals.py           | every reason to refuse a request, one word each
callers.py            | who calls, and how many requests per second they may send
body.py               | reads a request's body within bounds
token_counts.py       | approximate token counts
usage.py              | usage counters that survive a restart
reranker.py           | documents in, one logit each: shared by all these APIs
request.py            | reads the members that all JSON APIs but TEI share
answer.py             | an answer before it has an API's form
cohere.py             | Cohere's answers
jina.py               | Jina's answers
vllm.py               | vLLM's requests and answers
voyage.py             | Voyage's answers
infinity.py           | Infinity's answers
tei.py                | requests and answers of Text Embeddings Inference
nvidia.py             | NVIDIA's requests and answers
errors.py             | statuses and bodies of errors, for most of these APIs
forms.py              | the form of each API's answers and errors, by path and request
bearer_gate.py        | what all paths with bearer keys share: key, rate, body, usage
bearer_paths.py       | handler of the paths that rerank
pair_scores.py        | requests and answers of vLLM's score API
score_paths.py        | handler of the paths of that API
embedder.py           | texts in, one vector each: shared by the embedding APIs
embedding_forms.py    | requests and answers of OpenAI's and TEI's embedding APIs
embedding_paths.py    | handler of the paths of these APIs
info_paths.py         | handler of what clients ask first: /info, /health, lists of models
tencent.py            | Tencent's request and answer
tencent_signatures.py | verifies Tencent's signatures
tencent_service.py    | handler of RunRerank
"""
