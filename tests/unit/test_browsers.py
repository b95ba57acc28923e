"""Browsers' databases, as the browsers lay them out on Linux."""

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from langchain_cerebras_inference._credentials.browsers import installed, read
from langchain_cerebras_inference._credentials.cookies import choose

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lays files out as Linux does")

HOST = "inference.cerebras.ai"
UNREADABLE = b"v11" + b"\xff" * 32
CHROMIUM = """
    CREATE TABLE meta (key TEXT, value TEXT);
    INSERT INTO meta VALUES ('version', '24');
    CREATE TABLE cookies (host_key TEXT, name TEXT, value TEXT, encrypted_value BLOB,
        path TEXT, expires_utc INTEGER, is_secure INTEGER);
"""
FIREFOX = """
    CREATE TABLE moz_cookies (host TEXT, name TEXT, value TEXT, path TEXT, expiry INTEGER,
        isSecure INTEGER, originAttributes TEXT);
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@contextmanager
def database(path: Path, tables: str) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(tables)
        yield connection
        connection.commit()


def chromium(path: Path, *cookies: tuple[Any, ...]) -> Path:
    with database(path, CHROMIUM) as connection:
        rows = [(*each, "/", 0, 1) for each in cookies]
        connection.executemany("INSERT INTO cookies VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def firefox(path: Path, *cookies: tuple[Any, ...]) -> Path:
    with database(path, FIREFOX) as connection:
        rows = [(*each[:3], "/", 0, 1, "".join(each[3:])) for each in cookies]
        connection.executemany("INSERT INTO moz_cookies VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return path


def found(name: str) -> dict[str, str | None]:
    return {cookie.name: cookie.value for cookie in read(name, HOST)}


@pytest.mark.parametrize(
    ("name", "folder"),
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
def test_chromium_and_its_kin_are_found_where_they_live(
    name: str, folder: str, home: Path
) -> None:
    chromium(home / folder / "Cookies", (HOST, "a", "1", b""))

    assert installed() == [name]
    assert found(name) == {"a": "1"}


@pytest.mark.parametrize(
    "folder",
    [
        ".mozilla/firefox/a.default",
        ".config/mozilla/firefox/a.default-release",
        "snap/firefox/common/.mozilla/firefox/a.default",
        ".var/app/org.mozilla.firefox/.mozilla/firefox/a.default",
    ],
)
def test_firefox_is_found_where_it_lives(folder: str, home: Path) -> None:
    firefox(home / folder / "cookies.sqlite", (HOST, "a", "1"))

    assert installed() == ["firefox"]
    assert found("firefox") == {"a": "1"}


def test_only_the_hosts_cookies_are_asked_for(home: Path) -> None:
    """What another site's cookie is encrypted with does not matter: it is not read."""
    chromium(
        home / ".config/chromium/Default/Cookies",
        (HOST, "own", "1", b""),
        (f".{HOST}", "own_and_below", "1", b""),
        (".cerebras.ai", "above", "1", b""),
        ("cloud.cerebras.ai", "beside", "", UNREADABLE),
        (".example.com", "elsewhere", "", UNREADABLE),
    )

    assert set(found("chromium")) == {"own", "own_and_below", "above"}


def test_the_profile_used_last_that_has_any_is_read(home: Path) -> None:
    profiles = home / ".config/chromium"
    files = [
        chromium(profiles / "Default/Cookies", (HOST, "a", "first", b"")),
        chromium(profiles / "Profile 1/Cookies", (HOST, "a", "second", b"")),
        chromium(profiles / "Profile 2/Cookies"),
    ]
    for age, file in zip([3, 2, 1], files, strict=True):
        os.utime(file, (time.time() - age, time.time() - age))

    assert found("chromium") == {"a": "second"}


def test_firefoxs_default_container_wins(home: Path) -> None:
    firefox(
        home / ".mozilla/firefox/a.default/cookies.sqlite",
        (HOST, "a", "default"),
        (HOST, "a", "work", "^userContextId=1"),
    )

    assert [each.value for each in read("firefox", HOST)] == ["work", "default"]


def test_a_browser_that_is_unknown_or_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="'netscape' is none of firefox, chrome"):
        read("netscape", HOST)
    with pytest.raises(ValueError, match="no profile of chrome was found"):
        read("chrome", HOST)


def test_a_key_that_cannot_be_had_is_told_in_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    chromium(home / ".config/chromium/Default/Cookies", (HOST, "a", "", UNREADABLE))

    with pytest.raises(ValueError, match="chromium encrypts its cookies with a key") as caught:
        read("chromium", HOST)

    assert caught.value.__cause__ is None


def test_without_the_extra_the_command_that_installs_it_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp.cookies", None)
    chromium(home / ".config/chromium/Default/Cookies", (HOST, "a", "", UNREADABLE))

    with pytest.raises(ValueError, match=r"pip install '[a-z-]+\[browser\]'"):
        read("chromium", HOST)


def test_a_browser_that_runs_is_read_as_far_as_it_has_written(home: Path) -> None:
    """Firefox keeps its database locked, and what is new in a log of its own."""
    path = firefox(home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, "old", "1"))
    with closing(sqlite3.connect(path)) as browser:
        hold(browser)

        assert found("firefox") == {"old": "1"}


def test_a_locked_database_with_nothing_written_is_told_in_words(home: Path) -> None:
    path = firefox(home / ".mozilla/firefox/a.default/cookies.sqlite")
    with closing(sqlite3.connect(path)) as browser:
        hold(browser)

        with pytest.raises(ValueError, match=r"locked\); close it and try again"):
            read("firefox", HOST)


def hold(browser: sqlite3.Connection) -> None:
    browser.execute("PRAGMA locking_mode = EXCLUSIVE")
    browser.execute("PRAGMA journal_mode = WAL")
    browser.execute("INSERT INTO moz_cookies (host, name, value) VALUES ('a', 'new', '1')")
    browser.commit()


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_broken_database_is_told_in_words(content: bytes, home: Path) -> None:
    path = home / ".config/chromium/Default/Cookies"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    with pytest.raises(ValueError, match="the cookies of chromium cannot be read"):
        read("chromium", HOST)


def test_a_value_that_is_no_text_is_not_quoted(home: Path) -> None:
    path = firefox(home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, "a", "1"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE moz_cookies SET value = CAST(x'53454352455480' AS TEXT)")
        connection.commit()

    [cookie] = read("firefox", HOST)

    with pytest.raises(ValueError, match="'a' cannot be sent") as caught:
        choose([cookie], f"https://{HOST}/")
    assert "SECRET" not in str(caught.value)


def test_nothing_is_written_beside_the_database_or_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(home))
    firefox(home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, "a", "1"))
    chromium(home / ".config/chromium/Default/Cookies", (HOST, "a", "1", b""))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    for name in installed():
        read(name, HOST)

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
