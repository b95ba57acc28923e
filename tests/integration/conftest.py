"""Fixtures for the integration tests: servers, a model, certificates, programs."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from langchain_cerebras_inference import ChatCerebrasInference
from langchain_cerebras_inference.emulator import Emulator
from tests.integration.certificates import OPENSSL, CertificateAuthority
from tests.integration.helpers import create_model
from tests.integration.programs import ForkServer


@pytest.fixture(autouse=True)
def close_sync_connections() -> Iterator[None]:
    """Close the connections of sync calls.

    All sync calls share one event loop for the whole test run, and a later server may get
    the port of an earlier one.
    """
    model = ChatCerebrasInference(api_key="unused")
    yield
    model.close()


@pytest.fixture
def server() -> Iterator[Emulator]:
    """An emulator for one test."""
    with Emulator() as running:
        yield running


@pytest.fixture
def model(server: Emulator) -> ChatCerebrasInference:
    """A model that talks to `server` with its API key."""
    return create_model(server)


@pytest.fixture(scope="session")
def certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    if OPENSSL is None:
        pytest.skip("needs the openssl command, which creates the certificates")
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def https_server(certificate_authority: CertificateAuthority) -> Iterator[Emulator]:
    """An emulator with a certificate that only `certificate_authority` vouches for."""
    with Emulator(ssl_context=certificate_authority.server_context()) as running:
        yield running


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    with closing(ForkServer()) as running:
        yield running
