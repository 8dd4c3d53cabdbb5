"""Versions of the interpreter API."""

import pytest

from remote_kernel.core.interpreter_api.versions import ApiRefusal, parse_api_version


def test_unknown_and_missing_api_versions_have_names_of_their_own() -> None:
    with pytest.raises(ApiRefusal, match="2025-10-02-preview") as unknown:
        parse_api_version("2020-01-01")
    assert (unknown.value.status, unknown.value.code) == (400, "UnsupportedApiVersionValue")
    for missing in (None, ""):
        with pytest.raises(ApiRefusal) as refused:
            parse_api_version(missing)
        assert (refused.value.status, refused.value.code) == (400, "MissingApiVersionParameter")
