"""Every cause of a refusal has its status and words in every form."""

from typing import get_args

import pytest

from sidecar.rerank.forms import INFINITY, TEI, UNDECIDED, V1, V2
from sidecar.rerank.refusals import Cause, Refusal
from sidecar.rerank.tencent import write_error

TABLE = {
    # cause: /v1 and /v2, Infinity, TEI, Tencent
    "malformed": (400, 422, 422, "InvalidParameter"),
    "missing": (400, 422, 422, "MissingParameter"),
    "invalid": (400, 422, 422, "InvalidParameterValue"),
    "too_many": (400, 422, 413, "InvalidParameterValue"),
    "too_large": (413, 413, 413, "RequestSizeLimitExceeded"),
    "late": (408, 408, 408, "FailedOperation"),
    "unauthorized": (401, 401, 401, "AuthFailure.SignatureFailure"),
    "rate": (429, 429, 429, "RequestLimitExceeded"),
    "starting": (503, 503, 503, "FailedOperation"),
    "overload": (503, 503, 429, "FailedOperation"),
    "deadline": (504, 504, 424, "FailedOperation"),
    "model": (500, 500, 424, "FailedOperation.EngineServerError"),
    "internal": (500, 500, 500, "InternalError"),
}


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(get_args(Cause))


@pytest.mark.parametrize("cause", get_args(Cause))
def test_statuses_and_codes(cause: Cause) -> None:
    open_ai, infinity, tei, tencent = TABLE[cause]
    statuses = [form.write_error(cause, "why")[0] for form in (V1, V2, INFINITY, TEI, UNDECIDED)]
    assert statuses == [open_ai, open_ai, infinity, tei, tei]
    answer = write_error(Refusal(cause, "why"), "ID")
    error = {"Code": tencent, "Message": "why"}
    assert answer == {"Response": {"Error": error, "RequestId": "ID"}}


def test_where_the_text_stands() -> None:
    assert TEI.write_error("overload", "why")[1] == {"error": "why", "error_type": "overloaded"}
    error = {"message": "why", "type": "rate", "param": None, "code": 429}
    assert V1.write_error("rate", "why")[1] == {"message": "why", "detail": "why", "error": error}
    assert UNDECIDED.write_error("malformed", "why")[1] == {
        "error": "why",
        "error_type": "validation",
        "message": "why",
        "detail": "why",
    }
