"""A certificate authority of our own, and a server's certificate it has signed."""

import shutil
import ssl
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl")

_SETTINGS = """
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


class Authority:
    """Signs for loopback; its files are made in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "authority.pem"
        self.folder = folder / "by_hash"
        self._home = folder
        (folder / "settings").write_text(_SETTINGS)
        self._run(
            f"req -config settings -x509 -extensions authority -days 2 {_NEW_KEY}"
            " -keyout authority.key -out authority.pem"
        )
        self._run(f"req -config settings -new {_NEW_KEY} -keyout server.key -out server.csr")
        self._run(
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -set_serial 2"
            " -days 2 -extfile settings -extensions server -out server.pem"
        )
        self.folder.mkdir()
        hashed = self._run("x509 -in authority.pem -noout -hash").strip()
        shutil.copy(self.bundle, self.folder / f"{hashed}.0")

    def server_context(self) -> ssl.SSLContext:
        """What a server on loopback serves https with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._home / "server.pem", self._home / "server.key")
        return context

    def _run(self, arguments: str) -> str:
        command = [OPENSSL or "openssl", *arguments.split()]
        done = subprocess.run(
            command, cwd=self._home, check=True, capture_output=True, text=True
        )
        return done.stdout
