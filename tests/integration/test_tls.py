"""Which certificates are trusted, and what an untrusted one raises."""

from pathlib import Path

import pytest

from langchain_cerebras_inference import CerebrasConnectionError
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.call_styles import CallStyle, every_call_style, invoke_and_astream
from tests.integration.certificates import CertificateAuthority
from tests.integration.helpers import create_model


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
