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
"""
_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


class CertificateAuthority:
    """Signs a certificate for the loopback addresses; creates its files in `directory`.

    Attributes:
        bundle: The authority's certificate as a PEM file, for `SSL_CERT_FILE`.
        hashed_directory: The same certificate, named by its hash, for `SSL_CERT_DIR`.
    """

    def __init__(self, directory: Path) -> None:
        self.bundle = directory / "authority.pem"
        self.hashed_directory = directory / "by_hash"
        self._directory = directory
        (directory / "config").write_text(_OPENSSL_CONFIG)
        self._run_openssl(
            f"req -config config -x509 -extensions authority -days 2 {_NEW_KEY}"
            " -keyout authority.key -out authority.pem"
        )
        self._run_openssl(
            f"req -config config -new {_NEW_KEY} -keyout server.key -out server.csr"
        )
        self._run_openssl(
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -set_serial 2"
            " -days 2 -extfile config -extensions server -out server.pem"
        )
        self.hashed_directory.mkdir()
        subject_hash = self._run_openssl("x509 -in authority.pem -noout -hash").strip()
        shutil.copy(self.bundle, self.hashed_directory / f"{subject_hash}.0")

    def server_context(self) -> ssl.SSLContext:
        """The TLS context for a server on loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "server.pem", self._directory / "server.key")
        return context

    def _run_openssl(self, arguments: str) -> str:
        command = [OPENSSL or "openssl", *arguments.split()]
        process = subprocess.run(
            command, cwd=self._directory, check=True, capture_output=True, text=True
        )
        return process.stdout
