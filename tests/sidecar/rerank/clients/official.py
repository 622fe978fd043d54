"""Calls a rerank API with its vendor's own client and prints what that understood.

Run by a Python that has the clients: reads calls, one line of JSON each, and answers each with
a line.
"""

import json
import sys


def tencent(url, arguments):
    from tencentcloud.common import credential
    from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
    from tencentcloud.common.profile.client_profile import ClientProfile
    from tencentcloud.common.profile.http_profile import HttpProfile
    from tencentcloud.lkeap.v20240522 import lkeap_client, models

    http = HttpProfile(
        protocol="http",
        endpoint=url.removeprefix("http://"),
        reqTimeout=10,
        reqMethod=arguments.get("method", "POST"),
    )
    profile = ClientProfile(httpProfile=http, signMethod=arguments.get("signing"))
    profile.unsignedPayload = arguments.get("unsigned", False)
    keys = credential.Credential(arguments["id"], arguments["key"])
    client = lkeap_client.LkeapClient(keys, arguments.get("region", "ap-jakarta"), profile)
    request = models.RunRerankRequest()
    request.Query = arguments.get("query")
    request.Docs = arguments.get("documents")
    try:
        answer = client.RunRerank(request)
    except TencentCloudSDKException as error:
        return {"code": error.code, "message": error.message, "request_id": error.requestId}
    return {
        "scores": answer.ScoreList,
        "tokens": answer.Usage.TotalTokens,
        "request_id": answer.RequestId,
    }


def cohere_v1(url, arguments):
    import cohere

    client = cohere.Client(api_key=arguments.pop("key"), base_url=url)
    return _cohere(client, arguments)


def cohere_v2(url, arguments):
    import cohere

    client = cohere.ClientV2(api_key=arguments.pop("key"), base_url=url)
    return _cohere(client, arguments)


def _cohere(client, arguments):
    from cohere.core.api_error import ApiError

    try:
        answer = client.rerank(model="local", request_options={"max_retries": 0}, **arguments)
    except ApiError as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": error.body}
    documents = [getattr(result, "document", None) for result in answer.results]
    return {
        "results": [[result.index, result.relevance_score] for result in answer.results],
        "documents": [document and document.text for document in documents],
        "units": answer.meta.billed_units.search_units,
    }


def voyage(url, arguments):
    import voyageai

    client = voyageai.Client(api_key=arguments.pop("key"), base_url=url + "/v1", max_retries=0)
    try:
        answer = client.rerank(model="local", **arguments)
    except voyageai.error.VoyageError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {
        "results": [[result.index, result.relevance_score] for result in answer.results],
        "documents": [result.document for result in answer.results],
        "tokens": answer.total_tokens,
    }


CLIENTS = {
    "tencent": tencent,
    "cohere_v1": cohere_v1,
    "cohere_v2": cohere_v2,
    "voyage": voyage,
}

# One process for all calls: the clients take seconds to import.
for line in sys.stdin:
    call = json.loads(line)
    print(json.dumps(CLIENTS[call["client"]](call["url"], call["arguments"])), flush=True)
