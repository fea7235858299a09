"""The client over TLS: which servers it trusts, and its own certificate. The test signs all of them."""

from __future__ import annotations

import base64
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from c2f_spec.errors import Unreachable
from c2f_spec.targets.kubernetes.client import JOBS, Client
from c2f_spec.targets.kubernetes.kubeconfig import from_kubeconfig
from tests.fake_api import FakeApi
from tests.support.manifests import write_kubeconfig

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


def signed(name, signer=None, *, hosts=()):
    """Return a certificate and its key, both in PEM, and the pair that signs with it. Without `signer` it is an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    issuer, issuer_key = signer or (subject, key)
    until = now + timedelta(days=1)
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now, until
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(encoding, form, serialization.NoEncryption())
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(encoding), private, (subject, key)


@pytest.fixture(scope="module")
def authority():
    return signed("authority")


@pytest.fixture
def serve(tmp_path, authority):
    """`serve(hosts)`: a fake with a certificate for these hosts, which wants a client certificate."""
    running = []

    def start(*hosts):
        certificate, key, _ = signed("server", authority[2], hosts=hosts)
        (tmp_path / "server.pem").write_bytes(certificate + key)
        (tmp_path / "ca.pem").write_bytes(authority[0])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
        context.load_cert_chain(tmp_path / "server.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        api = FakeApi(tls=context)
        running.append(api)
        api.up()
        return api

    yield start
    for api in running:
        api.down()


def as_user(certificate, key, *_):
    encoded = [base64.b64encode(part).decode() for part in (certificate, key)]
    return {"client-certificate-data": encoded[0], "client-key-data": encoded[1]}


def client_of(api, tmp_path, authority, *, user=None, **cluster):
    user = as_user(*(user or signed("me", authority[2])))
    write_kubeconfig(tmp_path, api.url, user=user, namespace="team", **cluster)
    return Client(from_kubeconfig([tmp_path / "kubeconfig"], None), patience=0.3)


def ca(authority):
    return {"certificate-authority-data": base64.b64encode(authority[0]).decode()}


LOCALHOST = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def test_a_server_with_a_certificate_of_our_authority_is_trusted_and_checks_ours(serve, tmp_path, authority):
    client = client_of(serve(LOCALHOST), tmp_path, authority, **ca(authority))
    assert client.get(JOBS, "a") is None
    assert list(client.list(JOBS)) == []


def test_another_authority_is_not_trusted(serve, tmp_path, authority):
    with pytest.raises(Unreachable, match="certificate verify failed"):
        client_of(serve(LOCALHOST), tmp_path, authority, **ca(signed("other"))).get(JOBS, "a")


def test_a_certificate_for_another_host_is_not_taken_unless_that_is_meant(serve, tmp_path, authority):
    api = serve(x509.DNSName("kubernetes.example"))
    with pytest.raises(Unreachable, match="certificate"):
        client_of(api, tmp_path, authority, **ca(authority)).get(JOBS, "a")
    named = {**ca(authority), "tls-server-name": "kubernetes.example"}
    assert client_of(api, tmp_path, authority, **named).get(JOBS, "a") is None


def test_a_cluster_without_verification_is_not_verified(serve, tmp_path, authority):
    api = serve(x509.DNSName("elsewhere"))
    assert client_of(api, tmp_path, authority, **{"insecure-skip-tls-verify": True}).get(JOBS, "a") is None


def test_a_client_certificate_of_another_authority_is_refused(serve, tmp_path, authority):
    stranger = signed("stranger", signed("other")[2])
    with pytest.raises(Unreachable):
        client_of(serve(LOCALHOST), tmp_path, authority, user=stranger, **ca(authority)).get(JOBS, "a")


def test_a_client_certificate_is_read_from_the_kubeconfig(tmp_path):
    """OpenSSL refuses a key that does not fit its certificate."""
    certificate, key, _ = signed("me")
    write_kubeconfig(tmp_path, "https://k", user=as_user(certificate, key))
    access = from_kubeconfig([tmp_path / "kubeconfig"], None)
    assert access.credential.certificate() == (certificate, key)
    access.tls()
