"""The real package of a real protocol, where both are installed: `pip install s3fs "moto[server]"`."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conformance_workflows import Command, call
from PIL import Image

WORKFLOW = {"1": call("LoadImage", image="x.png"), "2": call("SaveImage", images=["1", 0], filename_prefix="x")}
SECRET = "verysecretvalue"

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of a server in this process."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host.replace('0.0.0.0', '127.0.0.1')}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    files = fsspec.filesystem("s3")
    files.makedirs("bucket", exist_ok=True)
    yield files
    server.stop()
    files.clear_instance_cache()


def test_from_a_bucket_into_a_bucket(
    bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_data: Path
) -> None:
    names = ["a.png", "../up.png", "sub/[b]?#%41.png", "sub/b.png", "back\\slash.png"]
    for number, name in enumerate(names):
        file = io.BytesIO()
        Image.new("RGB", (4, 3), (number, 0, 0)).save(file, "PNG")
        bucket.pipe_file(f"bucket/in/{name}", file.getvalue())
    command = Command(tmp_path, capsys)
    arguments = ["--images", "s3://bucket/in", "s3://bucket/in/gone.png", "--output", "s3://bucket/out", "--resume"]
    for done_before in (0, len(names)):
        outcome = command.run(WORKFLOW, *arguments)
        assert outcome.code == 3
        assert len(outcome.all("done")) == len(names) - done_before
        assert "image: cannot fetch 's3://bucket/in/gone.png': it is not there; expected an image" in outcome.err
        assert SECRET not in json.dumps(outcome.events) + outcome.err
    lines = bucket.cat_file("bucket/out/manifest.jsonl").decode().splitlines()
    records = {record["image"]: record for record in map(json.loads, lines)}
    for number, name in enumerate(names):
        (file,) = records[f"s3://bucket/in/{name}"]["files"]
        with Image.open(io.BytesIO(bucket.cat_file(f"bucket/out/{file}"))) as image:
            assert image.convert("RGB").getpixel((0, 0)) == (number, 0, 0)
    assert len(bucket.find("bucket/out")) == len(names) + 1
    assert not list(own_data.rglob("*.png"))


def test_what_a_bucket_says_is_one_line(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = Command(tmp_path, capsys)
    for images, output, message in (
        ("s3://nobody/in", "s3://bucket/out", "--images: no image at 's3://nobody/in'; expected a file, a folder or a"),
        (
            "s3://bucket/a.png",
            "s3://nobody/out",
            "output: cannot write into 's3://nobody/out': it is not there; expected",
        ),
    ):
        outcome = command.run(WORKFLOW, "--images", images, "--output", output)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {message}")
        assert outcome.err.count("\n") == 1
