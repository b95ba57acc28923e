"""A private certificate authority, and a server certificate that it has signed."""

import shutil
import ssl
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl")

_OPENSSL_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, IP:::1, DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
"""
_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


class CertificateAuthority:
    """Signs certificates for a server and a client; creates its files in `directory`.

    Attributes:
        bundle: The authority's certificate as a PEM file, for `SSL_CERT_FILE`.
        hashed_directory: The same certificate, named by its hash, for `SSL_CERT_DIR`.
        client_cert: The certificate of a client.
        client_key: The private key of this client.
    """

    def __init__(self, directory: Path) -> None:
        self.bundle = directory / "authority.pem"
        self.hashed_directory = directory / "by_hash"
        self.client_cert = directory / "client.pem"
        self.client_key = directory / "client.key"
        self._directory = directory
        (directory / "config").write_text(_OPENSSL_CONFIG)
        self._run_openssl(
            f"req -config config -x509 -extensions authority -days 2 {_NEW_KEY}"
            " -keyout authority.key -out authority.pem"
        )
        for serial, name in enumerate(["server", "client"], 2):
            self._run_openssl(
                f"req -config config -new {_NEW_KEY} -keyout {name}.key -out {name}.csr"
            )
            self._run_openssl(
                f"x509 -req -in {name}.csr -CA authority.pem -CAkey authority.key -set_serial"
                f" {serial} -days 2 -extfile config -extensions {name} -out {name}.pem"
            )
        self.hashed_directory.mkdir()
        subject_hash = self._run_openssl("x509 -in authority.pem -noout -hash").strip()
        shutil.copy(self.bundle, self.hashed_directory / f"{subject_hash}.0")

    def server_context(self, *, requires_client: bool = False) -> ssl.SSLContext:
        """The TLS context for a server on loopback, which may require a client certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "server.pem", self._directory / "server.key")
        if requires_client:
            context.load_verify_locations(self.bundle)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def encrypt_client_key(self, target: Path) -> None:
        """Write the private key of the client to `target`, encrypted with a password."""
        self._run_openssl(f"pkey -in client.key -aes256 -passout pass:secret -out {target}")

    def _run_openssl(self, arguments: str) -> str:
        command = [OPENSSL or "openssl", *arguments.split()]
        process = subprocess.run(
            command, cwd=self._directory, check=True, capture_output=True, text=True
        )
        return process.stdout
