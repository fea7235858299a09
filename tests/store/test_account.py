"""Who we are to a bucket: the environment, a profile, and nothing that an address could carry."""

from __future__ import annotations

import pytest

from c2f_spec.errors import Unreachable
from c2f_spec.store.open import open_store
from c2f_spec.store.s3_requests import client_settings, server_name, with_retries


@pytest.fixture(autouse=True)
def nothing_set(tmp_path, monkeypatch):
    for name in (
        "ENDPOINT_URL", "ENDPOINT_URL_S3", "PROFILE", "CA_BUNDLE", "REGION", "DEFAULT_REGION", "ACCESS_KEY_ID",
        "SECRET_ACCESS_KEY", "CHECKSUM_ALGORITHM", "VIRTUAL_HOSTED_STYLE_REQUEST",
    ):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def test_the_services_own_endpoint_comes_first(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all.example:9000")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example")
    config, client = client_settings("b")
    assert config["endpoint"] == "https://s3.example"
    assert not client["allow_http"]
    assert server_name("b") == "https://s3.example/b"


def test_the_bucket_goes_into_the_host_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://oss-cn-beijing.aliyuncs.com")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    assert client_settings("data")[0]["endpoint"] == "https://data.oss-cn-beijing.aliyuncs.com"


def test_a_profile_fills_in_what_the_environment_leaves_out(tmp_path, monkeypatch):
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = cn-north-1\nendpoint_url = http://10.0.0.1:9000\n"
    )
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = id\naws_secret_access_key = s%cret\n")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    config, client = client_settings("b")
    assert config["region"] == "cn-north-1"
    assert (config["aws_access_key_id"], config["aws_secret_access_key"]) == ("id", "s%cret")
    assert client["allow_http"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert "aws_secret_access_key" not in client_settings("b")[0], "keys of two sources are never mixed"


def test_a_profile_that_is_nowhere_and_a_bundle_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(Unreachable, match=r"none\.pem"):
        client_settings("b")
    (tmp_path / "ca.pem").write_bytes(b"-----BEGIN CERTIFICATE-----")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    assert client_settings("b")[1]["root_certificate"] == b"-----BEGIN CERTIFICATE-----"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Unreachable, match="profile `nobody` not found"):
        client_settings("b")


@pytest.mark.parametrize("url", ["http://key:s3cret@host", "ftp://host", "host:9000", "http://host?s3cret"])
def test_an_endpoint_is_an_address_and_nothing_more(monkeypatch, url):
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(Unreachable, match="nothing more") as caught:
        client_settings("b")
    assert "s3cret" not in str(caught.value)


def test_wrong_credentials_are_told_at_once_and_not_shown(url_of, monkeypatch):
    objects = open_store(url_of("seaweed"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "w40ng-s3cret")
    with pytest.raises(Unreachable, match="403 SignatureDoesNotMatch") as caught:
        objects.read("a")
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert "w40ng-s3cret" not in str(caught.value) + repr(objects) + repr(objects.client)


def test_a_server_that_is_not_there_is_waited_for_so_long_and_no_longer(monkeypatch):
    import obstore

    def act() -> None:
        tries.append(1)
        raise obstore.exceptions.GenericError("connection refused")

    tries: list[int] = []
    with pytest.raises(Unreachable, match="cannot read `a` in the store s3://b: no answer"):
        with_retries(act, "read", "a", "s3://b", deadline=1.0)
    assert 3 <= len(tries) <= 12
