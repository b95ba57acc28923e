"""Reading the cookie databases of browsers, laid out as on Linux."""

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from yt_dlp.aes import aes_cbc_encrypt_bytes

from langchain_cerebras_inference._auth.browser_cookies import find_browsers, read_browser
from langchain_cerebras_inference._auth.cookie_sources import read_cookies, select_cookies

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the folders are those of Linux"
)

HOST = "inference.cerebras.ai"
SESSION = "__Secure-next-auth.session-token"
UNDECRYPTABLE = b"v11" + b"\xff" * 32
CHROMIUM = ".config/chromium/Default/Cookies"
FIREFOX = ".mozilla/firefox/a.default/cookies.sqlite"
CHROMIUM_TABLES = """
    CREATE TABLE meta (key TEXT, value TEXT);
    INSERT INTO meta VALUES ('version', '24');
    CREATE TABLE cookies (host_key TEXT, name TEXT, value TEXT, encrypted_value BLOB,
        path TEXT, expires_utc INTEGER, is_secure INTEGER);
"""
FIREFOX_TABLES = """
    CREATE TABLE moz_cookies (host TEXT, name TEXT, value TEXT, path TEXT, expiry INTEGER,
        isSecure INTEGER, originAttributes TEXT);
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


@contextmanager
def open_database(path: Path, tables: str) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(tables)
        yield connection
        connection.commit()


def write_chromium(path: Path, *cookies: tuple[Any, ...]) -> Path:
    with open_database(path, CHROMIUM_TABLES) as connection:
        rows = [(*cookie, "/", 0, 1) for cookie in cookies]
        connection.executemany("INSERT INTO cookies VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def write_firefox(path: Path, *cookies: tuple[Any, ...]) -> Path:
    with open_database(path, FIREFOX_TABLES) as connection:
        rows = [(*cookie[:3], "/", 0, 1, "".join(cookie[3:])) for cookie in cookies]
        connection.executemany("INSERT INTO moz_cookies VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def make_newer_in_order(*files: Path) -> None:
    """Give each file a later modification time than the one before it."""
    for age, file in enumerate(reversed(files)):
        os.utime(file, (time.time() - age, time.time() - age))


def read_values(browser: str) -> dict[str, str | None]:
    return {cookie.name: cookie.value for cookie in read_browser(browser, HOST)}


@pytest.mark.parametrize(
    ("browser", "folder"),
    [
        ("chrome", ".config/google-chrome/Default"),
        ("chrome", ".config/google-chrome/Profile 1/Network"),
        ("chromium", ".config/chromium/Default"),
        ("chromium", "snap/chromium/common/chromium/Default"),
        ("edge", ".config/microsoft-edge/Default"),
        ("brave", ".var/app/com.brave.Browser/config/BraveSoftware/Brave-Browser/Default"),
        ("vivaldi", ".config/vivaldi/Default"),
    ],
)
def test_chromium_browsers_are_found_in_their_folders(
    browser: str, folder: str, home: Path
) -> None:
    write_chromium(home / folder / "Cookies", (HOST, "a", "1", b""))

    assert find_browsers() == [browser]
    assert read_values(browser) == {"a": "1"}


@pytest.mark.parametrize(
    "folder",
    [
        ".mozilla/firefox/a.default",
        ".config/mozilla/firefox/a.default-release",
        "snap/firefox/common/.mozilla/firefox/a.default",
        ".var/app/org.mozilla.firefox/.mozilla/firefox/a.default",
    ],
)
def test_firefox_is_found_in_its_folders(folder: str, home: Path) -> None:
    write_firefox(home / folder / "cookies.sqlite", (HOST, "a", "1"))

    assert find_browsers() == ["firefox"]
    assert read_values("firefox") == {"a": "1"}


@pytest.mark.parametrize("config", ["{home}/settings", "settings"])
def test_profiles_are_found_in_xdg_config_home(
    config: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", config.format(home=home))
    write_chromium(home / "settings/chromium/Default/Cookies", (HOST, "a", "1", b""))
    write_firefox(home / "settings/mozilla/firefox/a.default/cookies.sqlite", (HOST, "b", "1"))

    assert read_values("chromium") == {"a": "1"}
    assert read_values("firefox") == {"b": "1"}


def test_only_cookies_of_the_host_are_read(home: Path) -> None:
    """Cookies of other hosts are not decrypted, so it does not matter if they cannot be."""
    write_chromium(
        home / CHROMIUM,
        (HOST, "own", "1", b""),
        (f".{HOST}", "own_and_below", "1", b""),
        (".cerebras.ai", "above", "1", b""),
        ("cloud.cerebras.ai", "beside", "", UNDECRYPTABLE),
        (".example.com", "elsewhere", "", UNDECRYPTABLE),
    )

    assert set(read_values("chromium")) == {"own", "own_and_below", "above"}


def test_last_used_profile_with_cookies_is_read(home: Path) -> None:
    profiles = home / ".config/chromium"
    make_newer_in_order(
        write_chromium(profiles / "Default/Cookies", (HOST, "a", "first", b"")),
        write_chromium(profiles / "Profile 1/Cookies", (HOST, "a", "second", b"")),
        write_chromium(profiles / "Profile 2/Cookies"),
    )

    assert read_values("chromium") == {"a": "second"}


def test_signed_in_profile_is_preferred(home: Path) -> None:
    profiles = home / ".config/chromium"
    make_newer_in_order(
        write_chromium(profiles / "Default/Cookies", (HOST, f"{SESSION}.0", "old", b"")),
        write_chromium(profiles / "Profile 1/Cookies", (HOST, f"{SESSION}.0", "new", b"")),
        write_chromium(profiles / "Profile 2/Cookies", (HOST, "a", "1", b"")),
    )

    assert read_values("chromium") == {f"{SESSION}.0": "new"}


@pytest.mark.parametrize("chosen", ["firefox", "chromium"])
async def test_signed_in_browser_is_preferred(chosen: str, home: Path) -> None:
    names = {"firefox": "a", "chromium": "a", chosen: SESSION}
    write_firefox(home / FIREFOX, (HOST, names["firefox"], "1"))
    write_chromium(home / CHROMIUM, (HOST, names["chromium"], "1", b""))

    assert (await read_cookies("browser", f"https://{HOST}/")).header == f"{SESSION}=1"


async def test_browser_with_any_cookies_is_read_if_none_is_signed_in(home: Path) -> None:
    write_firefox(home / FIREFOX)
    write_chromium(home / CHROMIUM, (HOST, "a", "1", b""))

    assert (await read_cookies("browser", f"https://{HOST}/")).header == "a=1"


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_broken_profile_is_skipped(content: bytes, home: Path) -> None:
    profiles = home / ".config/chromium"
    whole = write_chromium(profiles / "Default/Cookies", (HOST, "a", "1", b""))
    broken = write_chromium(profiles / "Profile 1/Cookies")
    broken.write_bytes(content)
    make_newer_in_order(whole, broken)
    (profiles / "Profile 2").mkdir()
    (profiles / "Profile 2/Cookies").symlink_to("nowhere")

    assert read_values("chromium") == {"a": "1"}


def test_partitioned_cookies_are_skipped(home: Path) -> None:
    write_firefox(
        home / FIREFOX,
        (HOST, "a", "own"),
        (HOST, "a", "inside", "^partitionKey=%28https%2Cexample.com%29"),
    )
    path = home / CHROMIUM
    write_chromium(path, (HOST, "a", "own", b""), (HOST, "a", "inside", b""))
    with open_database(
        path, "ALTER TABLE cookies ADD COLUMN top_frame_site_key TEXT DEFAULT '';"
    ):
        pass
    with closing(sqlite3.connect(path)) as connection:
        inside = "top_frame_site_key = 'https://example.com'"
        connection.execute(f"UPDATE cookies SET {inside} WHERE value = 'inside'")  # noqa: S608
        connection.commit()

    assert read_values("firefox") == read_values("chromium") == {"a": "own"}


def test_cookies_without_name_or_readable_value_are_skipped(home: Path) -> None:
    write_chromium(
        home / CHROMIUM,
        (HOST, "a", "1", b""),
        (HOST, "b", "", UNDECRYPTABLE),
        (HOST, "", "1", b""),
    )
    write_firefox(home / FIREFOX, (HOST, "a", "1"), (HOST, "", "1"))

    assert read_values("chromium") == read_values("firefox") == {"a": "1"}


def encrypt(value: str) -> bytes:
    """Encrypt a value as Chromium does on a Linux machine without a keyring."""
    key = hashlib.pbkdf2_hmac("sha1", b"peanuts", b"saltysalt", 1, dklen=16)
    host_digest = hashlib.sha256(HOST.encode()).digest()
    data = host_digest + value.encode()
    return b"v10" + bytes(aes_cbc_encrypt_bytes(data, key, iv=b" " * 16))


def test_encrypted_cookie_is_decrypted(home: Path) -> None:
    write_chromium(home / CHROMIUM, (HOST, "a", "", encrypt("secret")))

    assert read_values("chromium") == {"a": "secret"}


def test_default_container_of_firefox_comes_last(home: Path) -> None:
    write_firefox(
        home / FIREFOX,
        (HOST, "a", "default"),
        (HOST, "a", "work", "^userContextId=1"),
    )

    assert [cookie.value for cookie in read_browser("firefox", HOST)] == ["work", "default"]


def test_unknown_or_missing_browser_is_named() -> None:
    with pytest.raises(ValueError, match="'netscape' is not one of firefox, chrome"):
        read_browser("netscape", HOST)
    with pytest.raises(ValueError, match="no profile of chrome was found"):
        read_browser("chrome", HOST)


def test_chromium_browser_on_windows_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")

    with pytest.raises(
        ValueError, match=r"of chrome cannot be read on Windows, .*exported file"
    ):
        read_browser("chrome", HOST)
    with pytest.raises(ValueError, match="no profile of firefox was found"):
        read_browser("firefox", HOST)


@pytest.mark.parametrize("name", ["firefox; session=secret", "secret" * 4, "secret1"])
def test_name_that_may_be_a_cookie_is_not_quoted(name: str) -> None:
    with pytest.raises(ValueError, match="the text after browser: is not one of") as caught:
        read_browser(name, HOST)

    assert "secret" not in str(caught.value)


def test_missing_encryption_key_is_a_clear_error(home: Path) -> None:
    write_chromium(home / CHROMIUM, (HOST, "a", "", UNDECRYPTABLE))

    with pytest.raises(
        ValueError, match="the encryption key for chromium's cookies cannot be found"
    ) as caught:
        read_browser("chromium", HOST)

    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "module",
    [None, SimpleNamespace(), SimpleNamespace(get_cookie_decryptor=lambda browser: browser)],
    ids=["not installed", "without the function", "with another signature"],
)
def test_missing_or_changed_yt_dlp_says_what_to_install(
    module: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp.cookies", module)
    write_chromium(home / CHROMIUM, (HOST, "a", "", UNDECRYPTABLE))

    with pytest.raises(ValueError, match=r"pip install --upgrade '[a-z-]+\[browser\]'"):
        read_browser("chromium", HOST)


def test_running_browser_is_read_without_its_journal(home: Path) -> None:
    """Firefox locks its database, and writes new cookies to a journal first."""
    path = write_firefox(home / FIREFOX, (HOST, "old", "1"))
    with closing(sqlite3.connect(path)) as browser:
        lock(browser)

        assert read_values("firefox") == {"old": "1"}


def test_locked_database_without_cookies_says_to_close_the_browser(home: Path) -> None:
    path = write_firefox(home / FIREFOX)
    with closing(sqlite3.connect(path)) as browser:
        lock(browser)

        with pytest.raises(ValueError, match=r"locked\); close it and try again"):
            read_browser("firefox", HOST)


def lock(browser: sqlite3.Connection) -> None:
    browser.execute("PRAGMA locking_mode = EXCLUSIVE")
    browser.execute("PRAGMA journal_mode = WAL")
    browser.execute("INSERT INTO moz_cookies (host, name, value) VALUES ('a', 'new', '1')")
    browser.commit()


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_broken_database_is_a_clear_error(content: bytes, home: Path) -> None:
    path = home / CHROMIUM
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    with pytest.raises(ValueError, match="the cookies of chromium cannot be read"):
        read_browser("chromium", HOST)


def test_value_that_is_not_utf8_is_not_quoted(home: Path) -> None:
    path = write_firefox(home / FIREFOX, (HOST, "a", "1"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE moz_cookies SET value = CAST(x'53454352455480' AS TEXT)")
        connection.commit()

    [cookie] = read_browser("firefox", HOST)

    with pytest.raises(ValueError, match="'a' cannot be sent") as caught:
        select_cookies([cookie], f"https://{HOST}/")
    assert "SECRET" not in str(caught.value)


def test_reading_writes_no_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(home))
    path = write_firefox(home / FIREFOX, (HOST, "a", "1"))
    with closing(sqlite3.connect(path)) as browser:  # the mode is kept in the file
        browser.execute("PRAGMA journal_mode = WAL")
    write_chromium(home / CHROMIUM, (HOST, "a", "1", b""))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    for name in find_browsers():
        read_browser(name, HOST)

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
