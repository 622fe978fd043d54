"""The declared shape of every operation equals the shape in the service's own model."""

from __future__ import annotations

import pytest

from sidecar.aws import errors as aws_errors
from sidecar.aws.json import AwsError
from sidecar.kendra.operations import OPERATIONS
from tests.service_models import check_declaration, service_model

# Two differences: the model does not limit the number of suggestions, but the documentation allows
# at most ten; and the model accepts a facet without an attribute, which has nothing to count.
OWN_RULES = {"MaxSuggestionsCount", "Facets"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_takes_what_the_model_says(name: str) -> None:
    model = service_model("kendra").operation_model(name)
    check_declaration(name, OPERATIONS[name], model.input_shape, OWN_RULES)


def test_the_service_speaks_one_protocol() -> None:
    metadata = service_model("kendra").metadata
    assert (metadata["protocol"], metadata["jsonVersion"]) == ("json", "1.1")
    assert metadata["protocols"] == ["json"]
    assert (metadata["apiVersion"], metadata["signingName"]) == ("2019-02-03", "kendra")
    assert metadata["targetPrefix"] == "AWSKendraFrontendService"


SEARCHING = {
    *(aws_errors.access_denied, aws_errors.conflict, aws_errors.internal),
    *(aws_errors.invalid, aws_errors.not_found, aws_errors.throttled),
}


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("Query", SEARCHING),
        ("Retrieve", SEARCHING),
        ("GetQuerySuggestions", SEARCHING),
        ("SubmitFeedback", SEARCHING - {aws_errors.conflict} | {aws_errors.unavailable}),
    ],
)
def test_the_model_knows_every_error_with_its_status(name: str, errors: set[object]) -> None:
    model = service_model("kendra").operation_model(name)
    modelled = {shape.name for shape in model.error_shapes}
    for make in errors:
        assert callable(make)
        error = make("Why.")
        assert isinstance(error, AwsError)
        assert error.name in modelled
        assert error.json_status == (500 if error.name == "InternalServerException" else 400)
        assert error.members == {"__type": error.name, "Message": "Why.", "message": "Why."}
