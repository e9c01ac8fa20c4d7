"""What a URL is, and that nothing that gives access is ever shown."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from llmseg.addresses import Url, hide_secrets, is_url, read_location, shown_url

ROOT = Path(__file__).parent.parent
SECRET = "s3cr3t"
HOSTILE = [
    f"https://user:{SECRET}@host/a.png",
    f"https://{SECRET}@host/a.png",
    f"https://user:p@{SECRET}@host/a.png",
    f"https://user:{SECRET}/more@host/a.png",
    f"https://user:/{SECRET}@host/a.png",
    f"https://user:p@{SECRET}/@host/a.png",
    f"https://user:p@{SECRET};@host/a.png",
    f"https://user:{SECRET}?more@host/a.png",
    f"https://user:{SECRET}#more@host/a.png",
    f"https://user:a b{SECRET}\n@host/a.png",
    f"https://host/a.png?X-Amz-Signature={SECRET}&X-Amz-Date=1",
    f"https://host/a.png?{SECRET}",
    f"https://host/a.png#token={SECRET}",
    f"https://host/a.png;jsessionid={SECRET}",
    f"https://host?token={SECRET}",
    f"HTTPS://USER:{SECRET}@HOST/a.png",
    f"s3://KEY:{SECRET}@bucket/a.png",
    f"s3://KEY:{SECRET}",
    f"s3://bucket/a.png?token={SECRET}",
    f"gs://bucket/a.png?a=1&token={SECRET}",
    f"abfs://user:{SECRET}@account/a.png",
    f"abfs://container@account.dfs.core.windows.net/a.png?sv=1&sig={SECRET}",
    f"sftp://user:{SECRET}@[::1]:22/a.png",
    f"sftp://user:%40{SECRET}@host:22/a.png",
    f"zip://a.png::https://user:{SECRET}@host/a.zip",
    f"simplecache::https://user:{SECRET}@host/a.png",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_gives_access_is_shown(text: str) -> None:
    assert SECRET not in shown_url(text)
    for shown in (str(Url(text)), repr(Url(text)), str(Url(text) / "x"), f"{Url(text)!r}"):
        assert SECRET not in shown
    said = hide_secrets(f"HEAD {text} failed (403): {text!r}", Url(text))
    assert SECRET not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:password@host:8080/b/a.png?X-Amz-Signature=1", "https://host:8080/b/a.png"),
        ("s3://bucket/user@example.com/a.png", "s3://bucket/user@example.com/a.png"),
        ("s3://bucket/in/?.png", "s3://bucket/in/?.png"),
        ("s3://bucket/a#1.png", "s3://bucket/a#1.png"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
        ("memory://in/a.png", "memory://in/a.png"),
        ("s3://KEY:SECRET", "s3://..."),
        ("zip://a.png::s3://bucket/a.zip", "zip://..."),
        ("photos/a.png?x=1", "photos/a.png?x=1"),
    ],
)
def test_what_leads_to_an_object_is_shown(text: str, shown: str) -> None:
    assert shown_url(text) == shown


@pytest.mark.parametrize(
    "text", [r"C:\photos", "C:/photos", "C://photos", "c:x", "/a://b", "a/b://c", "", "://x", "x:y"]
)
def test_paths_are_no_urls(text: str) -> None:
    assert not is_url(text)
    assert read_location(text) == Path(text)


def test_files_of_this_computer_are_paths_however_they_are_said() -> None:
    assert read_location("file:///photos/a b.png") == Path("/photos/a b.png")
    assert read_location("FILE://photos") == Path("photos")
    assert read_location("local:///photos") == Path("/photos")
    drive = read_location("file:///C:/photos")
    assert drive == Path("C:/photos" if os.name == "nt" else "/C:/photos")
    assert read_location("s3://bucket") == Url("s3://bucket")


def test_urls_join_as_paths_do_and_survive_a_process_border() -> None:
    url = Url("S3://key:secret@bucket/out/")
    assert (url.protocol, (url / Path("a", "b") / "c.png").text) == ("s3", "S3://key:secret@bucket/out/a/b/c.png")
    assert url / Path() == url
    assert pickle.loads(pickle.dumps(url)) == url


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("Authorization: Bearer abcdef", "Authorization: ***"),
        ("aws_secret_access_key=abcdef, more", "aws_secret_access_key=***, more"),
        ("{'password': 'abcdef'}", "{'password': ***"),
        ("AccountKey=abcdef==;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ("GET https://u:abcdef@h/x?sig=1 said\n  no", "GET https://h/x said no"),
        ("the key ABCDEFGH is unknown", "the key *** is unknown"),
        ("it is not there", "it is not there"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_messages_of_other_programs(message: str, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET_KEY", "ABCDEFGH")
    assert hide_secrets(message) == left


def test_warnings_of_other_packages_hold_no_secret() -> None:
    program = (
        "import logging; from llmseg.addresses import guard_logs; guard_logs(); guard_logs()\n"
        "log = logging.getLogger('urllib3')\n"
        f"log.warning('Retrying after %r: %s', OSError('x'), '/b/a.png?X-Amz-Signature={SECRET}&a=1')\n"
        f"try:\n    raise OSError('https://u:{SECRET}@h')\n"
        f"except OSError:\n    log.exception('no https://u:{SECRET}@h/x')\n"
        "print(len(logging.lastResort.filters))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", cwd=ROOT, check=True)
    assert done.stderr.splitlines() == [
        "Retrying after OSError('x'): /b/a.png?X-Amz-Signature=***&a=1",
        "no https://h/x",
    ]
    assert done.stdout == "1\n"
