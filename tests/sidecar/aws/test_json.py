"""JSON as the AWS doors read and write it, and the error that they share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.aws.json import (
    AwsError,
    read_json_object,
    read_target,
    unknown_operation,
    write_json,
)


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"", {}),
        (b" {} ", {}),
        (b'{"a": null, "b": [1, "\\u00e9"]}', {"a": None, "b": [1, "é"]}),
        ('{"a": "é"}'.encode(), {"a": "é"}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
    ],
)
def test_reads_one_object(body: bytes, members: object) -> None:
    assert read_json_object(body) == members


@pytest.mark.parametrize(
    "body",
    [
        *(b"x", b"{", b"{} {}", b"[]", b"1", b"null", b'"a"', b'{"a": NaN}', b'{"a": Infinity}'),
        *(b'{"a": 1,}', b"\xff\xfe{}", b'{"a": "\xff"}', "{}".encode("utf-16"), b"\xef\xbb\xbf{}"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"),
    ],
)
def test_whatever_is_no_object_in_utf_8_is_a_serialization_error(body: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        read_json_object(body)
    assert (caught.value.name, caught.value.status) == ("SerializationException", 400)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        outcome = type(read_json_object(body)).__name__
    except AwsError as error:
        outcome = error.name
    assert outcome in ("dict", "SerializationException")


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_what_is_written_is_read_again(members: dict[str, object]) -> None:
    assert read_json_object(write_json(members)) == members


@pytest.mark.parametrize(
    ("target", "operation"),
    [
        ("Service.Rescore", "Rescore"),
        ("Service.", ""),
        ("Service", None),
        ("ServiceB.Rescore", None),
        ("", None),
        (None, None),
    ],
)
def test_the_target_names_service_and_operation(target: str | None, operation: str | None) -> None:
    assert read_target(target, "Service") == operation


def test_an_error_says_its_name_and_its_message_in_every_way_that_clients_read() -> None:
    assert AwsError("Oops", "no").members == {"__type": "Oops", "Message": "no", "message": "no"}


def test_a_message_is_one_printable_line_of_bounded_length() -> None:
    assert AwsError("Oops", "a\nb\x00c\ud800d").message == "a b c d"
    assert len(AwsError("Oops", "x" * 5000).message) == 2048
    assert str(unknown_operation("x\ny", 404)) == (
        "UnknownOperationException: There is no operation x y."
    )
