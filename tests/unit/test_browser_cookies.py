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

from langchain_cerebras_inference._auth import cookie_sources
from langchain_cerebras_inference._auth.browser_cookies import installed, read
from langchain_cerebras_inference._auth.cookie_input import choose

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="lays files out as Linux does")

HOST = "inference.cerebras.ai"
SESSION = "__Secure-next-auth.session-token"
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
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
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


def aged(*files: Path) -> None:
    """Makes each file newer than those before it."""
    for age, file in enumerate(reversed(files)):
        os.utime(file, (time.time() - age, time.time() - age))


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


@pytest.mark.parametrize("config", ["{home}/settings", "settings"])
def test_settings_may_live_elsewhere(
    config: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", config.format(home=home))
    chromium(home / "settings/chromium/Default/Cookies", (HOST, "a", "1", b""))
    firefox(home / "settings/mozilla/firefox/a.default/cookies.sqlite", (HOST, "b", "1"))

    assert found("chromium") == {"a": "1"}
    assert found("firefox") == {"b": "1"}


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
    aged(
        chromium(profiles / "Default/Cookies", (HOST, "a", "first", b"")),
        chromium(profiles / "Profile 1/Cookies", (HOST, "a", "second", b"")),
        chromium(profiles / "Profile 2/Cookies"),
    )

    assert found("chromium") == {"a": "second"}


def test_a_profile_that_is_signed_in_comes_before_one_that_is_not(home: Path) -> None:
    profiles = home / ".config/chromium"
    aged(
        chromium(profiles / "Default/Cookies", (HOST, f"{SESSION}.0", "old", b"")),
        chromium(profiles / "Profile 1/Cookies", (HOST, f"{SESSION}.0", "new", b"")),
        chromium(profiles / "Profile 2/Cookies", (HOST, "a", "1", b"")),
    )

    assert found("chromium") == {f"{SESSION}.0": "new"}


@pytest.mark.parametrize("chosen", ["firefox", "chromium"])
async def test_a_browser_that_is_signed_in_comes_before_one_that_is_not(
    chosen: str, home: Path
) -> None:
    names = {"firefox": "a", "chromium": "a", chosen: SESSION}
    firefox(home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, names["firefox"], "1"))
    chromium(home / ".config/chromium/Default/Cookies", (HOST, names["chromium"], "1", b""))

    assert (await cookie_sources.choose("browser", f"https://{HOST}/")).header == f"{SESSION}=1"


async def test_a_browser_that_is_not_signed_in_is_better_than_none(home: Path) -> None:
    firefox(home / ".mozilla/firefox/a.default/cookies.sqlite")
    chromium(home / ".config/chromium/Default/Cookies", (HOST, "a", "1", b""))

    assert (await cookie_sources.choose("browser", f"https://{HOST}/")).header == "a=1"


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_a_broken_profile_is_passed_over(content: bytes, home: Path) -> None:
    profiles = home / ".config/chromium"
    whole = chromium(profiles / "Default/Cookies", (HOST, "a", "1", b""))
    broken = chromium(profiles / "Profile 1/Cookies")
    broken.write_bytes(content)
    aged(whole, broken)
    (profiles / "Profile 2").mkdir()
    (profiles / "Profile 2/Cookies").symlink_to("nowhere")

    assert found("chromium") == {"a": "1"}


def test_a_cookie_for_pages_inside_another_sites_is_no_cookie_of_the_host(home: Path) -> None:
    firefox(
        home / ".mozilla/firefox/a.default/cookies.sqlite",
        (HOST, "a", "own"),
        (HOST, "a", "inside", "^partitionKey=%28https%2Cexample.com%29"),
    )
    path = home / ".config/chromium/Default/Cookies"
    chromium(path, (HOST, "a", "own", b""), (HOST, "a", "inside", b""))
    with database(path, "ALTER TABLE cookies ADD COLUMN top_frame_site_key TEXT DEFAULT '';"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        inside = "top_frame_site_key = 'https://example.com'"
        connection.execute(f"UPDATE cookies SET {inside} WHERE value = 'inside'")  # noqa: S608
        connection.commit()

    assert found("firefox") == found("chromium") == {"a": "own"}


def test_what_cannot_be_decrypted_or_has_no_name_is_left_out(home: Path) -> None:
    chromium(
        home / ".config/chromium/Default/Cookies",
        (HOST, "a", "1", b""),
        (HOST, "b", "", UNREADABLE),
        (HOST, "", "1", b""),
    )
    firefox(
        home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, "a", "1"), (HOST, "", "1")
    )

    assert found("chromium") == found("firefox") == {"a": "1"}


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


@pytest.mark.parametrize("name", ["firefox; session=secret", "secret" * 4, "secret1"])
def test_what_may_be_a_cookie_is_no_browsers_name(name: str) -> None:
    with pytest.raises(ValueError, match="what follows browser: is none of") as caught:
        read(name, HOST)

    assert "secret" not in str(caught.value)


def test_a_key_that_cannot_be_had_is_told_in_words(home: Path) -> None:
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
    path = firefox(home / ".mozilla/firefox/a.default/cookies.sqlite", (HOST, "a", "1"))
    with closing(sqlite3.connect(path)) as browser:  # the file keeps what it is told once
        browser.execute("PRAGMA journal_mode = WAL")
    chromium(home / ".config/chromium/Default/Cookies", (HOST, "a", "1", b""))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    for name in installed():
        read(name, HOST)

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before
