"""Which certificates are trusted, what an untrusted one raises, and client certificates."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference import CerebrasConnectionError, CerebrasCookieError
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.call_styles import CallStyle, every_call_style, invoke_and_astream
from tests.integration.certificates import CertificateAuthority
from tests.integration.helpers import create_cookie_model, create_model


@every_call_style
@pytest.mark.parametrize("kind", ["bundle", "hashed_directory"])
def test_verify_setting_trusts_a_certificate_authority(
    kind: str,
    call: CallStyle,
    https_server: Emulator,
    certificate_authority: CertificateAuthority,
) -> None:
    verify = getattr(certificate_authority, kind)

    message = call(create_model(https_server, verify=verify), "Hello!")

    assert "Hello!" in message.text


@invoke_and_astream
@pytest.mark.parametrize(
    ("variable", "kind"), [("SSL_CERT_FILE", "bundle"), ("SSL_CERT_DIR", "hashed_directory")]
)
def test_environment_variable_trusts_a_certificate_authority(
    variable: str,
    kind: str,
    call: CallStyle,
    https_server: Emulator,
    certificate_authority: CertificateAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(getattr(certificate_authority, kind)))

    message = call(create_model(https_server), "Hello!")

    assert "Hello!" in message.text


@every_call_style
def test_untrusted_certificate_raises_connection_error_that_names_the_settings(
    call: CallStyle, https_server: Emulator
) -> None:
    with pytest.raises(CerebrasConnectionError, match="certificate") as caught:
        call(create_model(https_server), "Hello!")

    assert https_server.origin.removeprefix("https://") in str(caught.value)
    assert "set the setting verify" in str(caught.value)
    assert "SSL_CERT_FILE" in str(caught.value)
    assert caught.value.is_retryable is False
    assert https_server.connections == 1
    assert https_server.requests == []


def test_verify_setting_of_one_model_does_not_affect_another(
    https_server: Emulator, certificate_authority: CertificateAuthority
) -> None:
    create_model(https_server, verify=certificate_authority.bundle).invoke("Hello!")

    with pytest.raises(CerebrasConnectionError, match="certificate"):
        create_model(https_server).invoke("Hello!")


def test_certificate_for_another_host_raises_connection_error(
    certificate_authority: CertificateAuthority,
) -> None:
    context = certificate_authority.server_context()
    with (
        Emulator(host="127.0.0.2", ssl_context=context) as server,
        pytest.raises(CerebrasConnectionError, match="certificate"),
    ):
        create_model(server, verify=certificate_authority.bundle).invoke("Hello!")

    assert server.requests == []


@every_call_style
def test_verify_false_accepts_any_certificate(call: CallStyle, https_server: Emulator) -> None:
    message = call(create_model(https_server, verify=False), "Hello!")

    assert "Hello!" in message.text


def test_invalid_ca_bundle_raises_value_error_with_its_path(
    https_server: Emulator, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")

    with pytest.raises(ValueError, match=r"verify .*PEM.*empty\.pem"):
        create_model(https_server, verify=empty).invoke("Hello!")
    with pytest.raises(ValueError, match=r"verify .*missing\.pem"):
        create_model(https_server, verify=tmp_path / "missing.pem").invoke("Hello!")


def test_https_to_a_plain_http_server_raises_connection_error(server: Emulator) -> None:
    https_url = server.base_url.replace("http:", "https:")

    with pytest.raises(CerebrasConnectionError, match="base_url"):
        create_model(server, base_url=https_url, max_retries=0).invoke("Hello!")


# --- client certificates ------------------------------------------------------------


@pytest.fixture
def mtls_server(certificate_authority: CertificateAuthority) -> Iterator[Emulator]:
    """An emulator that requires a client certificate."""
    context = certificate_authority.server_context(requires_client=True)
    with Emulator(ssl_context=context) as running:
        yield running


@pytest.fixture
def client_pair(certificate_authority: CertificateAuthority) -> tuple[Path, Path]:
    return certificate_authority.client_cert, certificate_authority.client_key


def join_pair(pair: tuple[Path, Path], directory: Path) -> Path:
    joined = directory / "joined.pem"
    joined.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
    return joined


CLIENT_CERTS: dict[str, Callable[[tuple[Path, Path], Path], Any]] = {
    "pair of paths": lambda pair, _: pair,
    "pair of strings": lambda pair, _: tuple(map(str, pair)),
    "list": lambda pair, _: [*pair],
    "one path": join_pair,
    "one string": lambda pair, directory: str(join_pair(pair, directory)),
}


@every_call_style
@pytest.mark.parametrize("form", CLIENT_CERTS)
def test_client_certificate_is_sent(
    form: str,
    call: CallStyle,
    mtls_server: Emulator,
    certificate_authority: CertificateAuthority,
    client_pair: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    client_cert = CLIENT_CERTS[form](client_pair, tmp_path)
    model = create_model(
        mtls_server, verify=certificate_authority.bundle, client_cert=client_cert
    )

    message = call(model, "Hello!")

    assert "Hello!" in message.text


@invoke_and_astream
def test_pickled_model_sends_its_client_certificate(
    call: CallStyle,
    mtls_server: Emulator,
    certificate_authority: CertificateAuthority,
    client_pair: tuple[Path, Path],
) -> None:
    model = create_model(
        mtls_server, verify=certificate_authority.bundle, client_cert=client_pair
    )

    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 # our own bytes

    assert "Hello!" in call(copied, "Hello!").text


def test_client_certificate_is_sent_without_a_check_of_the_server(
    mtls_server: Emulator, client_pair: tuple[Path, Path]
) -> None:
    model = create_model(mtls_server, verify=False, client_cert=client_pair)

    assert "Hello!" in model.invoke("Hello!").text


@every_call_style
def test_model_without_the_client_certificate_does_not_use_the_connections_of_another(
    call: CallStyle,
    mtls_server: Emulator,
    certificate_authority: CertificateAuthority,
    client_pair: tuple[Path, Path],
) -> None:
    settings: dict[str, Any] = {"verify": certificate_authority.bundle, "max_retries": 0}
    model = create_model(mtls_server, client_cert=client_pair, **settings)
    model.invoke("Hello!")

    with pytest.raises(CerebrasConnectionError):
        call(create_model(mtls_server, **settings), "Hello!")
    model.invoke("Hello!")

    assert len(mtls_server.requests) == 2


def test_client_certificate_is_not_sent_to_the_session_url(
    mtls_server: Emulator,
    certificate_authority: CertificateAuthority,
    client_pair: tuple[Path, Path],
) -> None:
    model = create_cookie_model(
        mtls_server,
        verify=certificate_authority.bundle,
        client_cert=client_pair,
        max_retries=0,
    )

    with pytest.raises(CerebrasCookieError):
        model.invoke("Hello!")

    assert mtls_server.requests == []


def encrypt(authority: CertificateAuthority, directory: Path) -> Any:
    authority.encrypt_client_key(directory / "encrypted.key")
    return authority.client_cert, directory / "encrypted.key"


def write_text(_: CertificateAuthority, directory: Path) -> Any:
    (directory / "text.pem").write_text("no certificate")
    return directory / "text.pem"


WRONG_CLIENT_CERTS: dict[str, tuple[Callable[[CertificateAuthority, Path], Any], str]] = {
    "missing file": (lambda _, directory: directory / "missing.pem", "missing.pem' cannot be"),
    "missing key": (
        lambda authority, directory: (authority.client_cert, directory / "missing.key"),
        "missing.key' cannot be read",
    ),
    "directory": (lambda _, directory: directory, "cannot be read"),
    "encrypted key": (encrypt, "encrypted.key' is encrypted"),
    "key of another certificate": (
        lambda authority, _: (authority.client_cert, authority.bundle.with_suffix(".key")),
        "authority.key' does not belong to the certificate in",
    ),
    "no PEM": (write_text, "text.pem' must contain a certificate and"),
    "certificate without key": (
        lambda authority, _: authority.client_cert,
        "client.pem' its private key",
    ),
    "key without certificate": (
        lambda authority, _: authority.client_key,
        "client.key' must contain a certificate",
    ),
    "key before certificate": (
        lambda authority, _: (authority.client_key, authority.client_cert),
        "client.key' must contain a certificate",
    ),
}


@invoke_and_astream
@pytest.mark.parametrize("case", WRONG_CLIENT_CERTS)
def test_unusable_client_certificate_raises_value_error_that_names_the_setting(
    case: str,
    call: CallStyle,
    mtls_server: Emulator,
    certificate_authority: CertificateAuthority,
    tmp_path: Path,
) -> None:
    create, expected = WRONG_CLIENT_CERTS[case]
    model = create_model(
        mtls_server,
        verify=certificate_authority.bundle,
        client_cert=create(certificate_authority, tmp_path),
    )

    with pytest.raises(ValueError, match=r"^client_cert: ") as caught:
        call(model, "Hello!")

    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert mtls_server.connections == 0
