"""The messaging protocol's envelope, against jupyter_client's own."""

import hashlib
import json
from datetime import UTC, datetime

import pytest
from jupyter_client.session import Session

from remote_kernel.core.errors import WireError
from remote_kernel.core.jupyter.messages import (
    DELIMITER,
    PROTOCOL_VERSION,
    Author,
    Signer,
    parse_header,
    parse_object,
    parse_reply,
    parse_scheme,
    with_version,
)
from remote_kernel.core.limits import REPLY

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_message_of_ours_is_understood_by_jupyter_client() -> None:
    parts = Author("s1").write("status", {"execution_state": "idle"}, parent=b'{"msg_id": "p"}', date=NOW)
    frames = Signer(b"key").to_zmq((*parts, b"buffer"), [b"someone"])
    session = Session(key=b"key")
    identities, rest = session.feed_identities(frames)
    message = session.deserialize(rest)
    assert identities == [b"someone"]
    assert message["content"] == {"execution_state": "idle"}
    assert message["parent_header"]["msg_id"] == "p"
    assert message["header"]["date"] == NOW
    assert message["buffers"] == [b"buffer"]


@pytest.mark.parametrize("header", ['{"msg_id": "a"}', '{"version": null}', '{"version": 5}', '{"version": ""}', "{}"])
def test_a_header_without_a_version_gets_one_and_keeps_the_rest(header: str) -> None:
    changed, *rest = with_version((header.encode(), b"{}", b"{}", b'{"code": "1"}', b"buffer"))
    assert json.loads(changed) == {**json.loads(header), "version": PROTOCOL_VERSION}
    assert rest == [b"{}", b"{}", b'{"code": "1"}', b"buffer"]


@pytest.mark.parametrize("header", [b'{"version":"5.3"}', b'{ "version" :  "4.1", "date": null}'])
def test_a_header_with_a_version_stays_as_it_is(header: bytes) -> None:
    assert with_version((header, b"{}", b"{}", b"{}")) == (header, b"{}", b"{}", b"{}")


def test_a_header_that_is_none_gets_no_version() -> None:
    with pytest.raises(WireError):
        with_version((b"[", b"{}", b"{}", b"{}"))


def test_a_message_of_jupyter_client_is_understood_by_us() -> None:
    session = Session(key=b"key", session="s2")
    frames = session.serialize(session.msg("execute_request", {"code": "1"}), ident=b"me")
    prefixes, parts = Signer(b"key").from_zmq(frames)
    header = parse_header(parts[0])
    assert prefixes == [b"me"]
    assert (header.msg_type, header.session, header.subshell_id) == ("execute_request", "s2", "")
    assert parse_object(parts[3]) == {"code": "1"}


@pytest.mark.parametrize("length", [1, 64, 65, 300])
def test_a_key_may_have_any_length(length: int) -> None:
    session = Session(key=b"k" * length)
    frames = session.serialize(session.msg("status"))
    assert Signer(b"k" * length).to_zmq(frames[2:]) == frames


@pytest.mark.parametrize("text", [b' {"a": 1}\n', b'{"a": 1} ', b'{"a": 1}'])
def test_an_object_may_have_space_around_it(text: bytes) -> None:
    assert parse_object(text) == {"a": 1}


@pytest.mark.parametrize("text", [b"", b" ", b"{", b'{"a": 1} {"b": 2}', b"{}]", b"[]", b"1", b'{"a": 1}x'])
def test_what_is_more_or_less_than_an_object_is_none(text: bytes) -> None:
    with pytest.raises(WireError):
        parse_object(text)


def test_a_message_without_a_key_is_not_signed() -> None:
    parts = (b"{}", b"{}", b"{}", b"{}")
    frames = Signer(b"").to_zmq(parts)
    assert frames == [DELIMITER, b"", *parts]
    assert Signer(b"").from_zmq(frames) == ([], parts)


SHORTENED_AT_WILL = {"shake_128", "shake_256"}


@pytest.mark.parametrize("name", sorted(hashlib.algorithms_guaranteed - SHORTENED_AT_WILL))
def test_every_hash_that_jupyter_client_signs_with_is_one_of_ours(name: str) -> None:
    scheme = f"hmac-{name}"
    session = Session(key=b"key", signature_scheme=scheme)
    signer = Signer(b"key", parse_scheme(scheme))
    prefixes, parts = signer.from_zmq(session.serialize(session.msg("kernel_info_request"), ident=b"me"))
    assert (prefixes, parse_header(parts[0]).msg_type) == ([b"me"], "kernel_info_request")
    _, rest = session.feed_identities(signer.to_zmq(parts))
    assert session.deserialize(rest)["msg_type"] == "kernel_info_request"


@pytest.mark.parametrize(
    "scheme",
    [
        "",
        "hmac",
        "hmac-",
        "sha256",
        "HMAC-sha256",
        "hmac-sha257",
        "hmac-SHA256",
        "hmac-new",
        "hmac-shake_128",
        "hmac-\n",
    ],
)
def test_a_scheme_that_is_none_is_refused(scheme: str) -> None:
    with pytest.raises(ValueError, match="signs nothing"):
        parse_scheme(scheme)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b"{}"] * 6,
        [DELIMITER],
        [DELIMITER, b"", b"{}", b"{}", b"{}"],
        [DELIMITER, b"0" * 64, b"{}", b"{}", b"{}", b"{}"],
        [DELIMITER, b"\xff", b"{}", b"{}", b"{}", b"{}"],
    ],
)
def test_a_message_that_is_cut_or_forged_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        Signer(b"key").from_zmq(frames)


@pytest.mark.parametrize("part", [b"", b"[]", b"null", b"\xff", b'{"msg_id": 1}', b"[" * 100_000])
def test_a_header_that_is_none_is_refused(part: bytes) -> None:
    with pytest.raises(WireError):
        parse_header(part)


def test_messages_of_one_author_have_different_ids() -> None:
    author = Author("s")
    ids = {parse_header(author.write("status", {}, date=NOW)[0]).msg_id for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("said", ["[]," * 600_000 + "[]", f'"{"x" * (REPLY.bytes or 0)}"'])
def test_a_reply_that_would_take_much_memory_is_passed_on_unread(said: str) -> None:
    assert parse_reply(b'{"status": "error", "x": [%b]}' % said.encode()) == {}


def test_a_reply_with_a_long_text_is_read() -> None:
    reply = {"status": "ok", "text": "1,2,3\n" * 600_000}
    assert parse_reply(json.dumps(reply).encode()) == reply
