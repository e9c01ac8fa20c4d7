"""Pictures and other files that carry a workflow: written by Pillow and by hand, whole, cut and damaged."""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from llmseg.errors import InputError, LLMSegError
from llmseg.graph.files.byte_reader import ByteReader
from llmseg.graph.files.exif import exif_texts
from llmseg.graph.files.json_text import MAX_BYTES
from llmseg.graph.files.workflow import Workflow, read_stream, read_workflow

EDITOR: dict[str, Any] = {"nodes": [{"id": 1, "type": "Größe 語"}], "links": []}
PROMPT: dict[str, Any] = {"1": {"class_type": "Größe 語", "inputs": {"x": "😀"}}}
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(EDITOR)}
WIDE = {key: json.dumps(json.loads(text), ensure_ascii=False) for key, text in TEXTS.items()}
MAKE, MODEL, DESCRIPTION, USER_COMMENT, EXIF_IFD = 0x010F, 0x0110, 0x010E, 0x9286, 0x8769

COMFYUI_TAGS: dict[int, str] = {MODEL: f"prompt:{TEXTS['prompt']}", MAKE: f"workflow:{TEXTS['workflow']}"}


def read(content: bytes, prefer: Any = "") -> Workflow:
    return read_stream(io.BytesIO(content), "a.png", prefer)


def failure(content: bytes) -> str:
    with pytest.raises(LLMSegError) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """A small picture as Pillow writes it."""
    buffer = io.BytesIO()
    (image or Image.new("RGB", (3, 2), "red")).save(buffer, format=kind, **options)
    return buffer.getvalue()


def exif(tags: dict[int, Any], inner: dict[int, Any] | None = None) -> Image.Exif:
    data = Image.Exif()
    data.update(tags)
    if inner:
        data.get_ifd(EXIF_IFD).update(inner)
    return data


# PNG ------------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    """A PNG of one pixel made by hand, with chunks before and behind its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + pixels + b"".join(after) + chunk(b"IEND", b"")


def text(key: str, value: str) -> bytes:
    return chunk(b"tEXt", key.encode() + b"\0" + value.encode())


def international(key: str, value: str, packed: bool) -> bytes:
    content = zlib.compress(value.encode()) if packed else value.encode()
    return chunk(b"iTXt", key.encode() + (b"\0\1\0" if packed else b"\0\0\0") + "de\0Schlüssel\0".encode() + content)


def packed_text(key: str, value: str) -> bytes:
    return chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(value.encode()))


def private(key: str, value: str) -> bytes:
    return chunk(b"comf", key.encode() + b"\0" + value.encode())


def bomb(megabytes: int) -> bytes:
    """Zeros packed by zlib: one block that refers to nothing before it, many times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * megabytes


BOMB = bomb(1024)
assert len(zlib.decompressobj().decompress(bomb(3))) == 3 * 2**20

WRITERS: dict[str, Callable[[str, str], bytes]] = {
    "tEXt": text,
    "zTXt": packed_text,
    "iTXt": lambda key, value: international(key, value, False),
    "iTXt packed": lambda key, value: international(key, value, True),
    "comf": private,
}


@pytest.mark.parametrize("texts", [TEXTS, WIDE], ids=["ascii", "wide"])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("behind", [False, True])
def test_every_text_chunk_of_a_png_before_and_behind_its_pixels(
    texts: dict[str, str], writer: str, behind: bool
) -> None:
    chunks = tuple(WRITERS[writer](key, value) for key, value in texts.items())
    content = png(after=chunks) if behind else png(*chunks)
    workflow = read(content)
    assert (workflow.editor, workflow.prompt, workflow.warnings) == (EDITOR, PROMPT, ())


@pytest.mark.parametrize("packed", [False, True])
def test_png_texts_that_pillow_writes(packed: bool) -> None:
    info, wide = PngInfo(), PngInfo()
    for key, value in TEXTS.items():
        info.add_text(key, value, zip=packed)
        wide.add_itxt(key, WIDE[key], "de", "Schlüssel", zip=packed)
    for content in (saved("PNG", pnginfo=info), saved("PNG", pnginfo=wide)):
        assert read(content).prompt == PROMPT
        assert read(content).editor == EDITOR


def test_an_animated_png_as_comfyui_writes_it() -> None:
    info = PngInfo()
    for key, value in TEXTS.items():
        info.add(b"comf", key.encode() + b"\0" + value.encode("latin-1"), after_idat=True)
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    content = saved("PNG", frames[0], pnginfo=info, save_all=True, append_images=frames[1:], duration=100)
    assert b"fdAT" in content
    assert content.index(b"comf") > content.index(b"IDAT")
    assert (read(content).editor, read(content).prompt) == (EDITOR, PROMPT)


def test_latin_1_is_read_where_a_text_is_not_utf8() -> None:
    content = chunk(b"tEXt", b"prompt\0" + '{"1": {"class_type": "Größe"}}'.encode("latin-1"))
    assert read(png(content)).prompt == {"1": {"class_type": "Größe", "inputs": {}}}


def test_the_last_of_two_equal_keys_counts_and_check_sums_do_not() -> None:
    content = png(text("prompt", "{}"), text("prompt", TEXTS["prompt"]))
    assert read(content).prompt == PROMPT
    place = content.rindex(b"IDAT") - 8
    assert read(content[:place] + b"\0\0\0\0" + content[place + 4 :]).prompt == PROMPT


def test_what_our_own_nodes_save_opens_again(load_saving: Any, tmp_path: Path) -> None:
    import torch

    from llmseg.graph import parse_workflow

    image = torch.linspace(0, 1, 4 * 5 * 3).view(4, 5, 3)
    path = tmp_path / "a.png"
    path.write_bytes(
        load_saving.encode_png(load_saving.image_pixels(image), load_saving.png_texts(PROMPT, {"workflow": EDITOR}), 4)
    )
    workflow = read_workflow(path)
    assert (workflow.editor, workflow.prompt, workflow.source) == (EDITOR, PROMPT, "a.png")
    same = parse_workflow(json.dumps({"prompt": PROMPT, "workflow": EDITOR}), "a.png")
    assert workflow == same


@pytest.fixture
def load_saving() -> Any:
    from llmseg.run import load_nodes

    return load_nodes().core.saving


@pytest.mark.parametrize(
    ("prefer", "editor", "prompt"), [("", EDITOR, PROMPT), ("prompt", EDITOR, PROMPT), ("workflow", EDITOR, None)]
)
def test_the_prompt_runs_unless_the_other_is_asked_for(prefer: Any, editor: Any, prompt: Any) -> None:
    workflow = read(png(*(text(key, value) for key, value in TEXTS.items())), prefer)
    assert (workflow.editor, workflow.prompt) == (editor, prompt)


def test_a_stale_is_changed_is_stripped() -> None:
    node = {"class_type": "A", "inputs": {}, "is_changed": ["old"]}
    assert read(png(text("prompt", json.dumps({"1": node})))).prompt == {"1": {"class_type": "A", "inputs": {}}}


CUT = '{"1": {"class'
CUT_FAULT = "not JSON (Unterminated string starting at, line 1, column 8); expected a workflow."


@pytest.mark.parametrize(
    ("texts", "editor", "prompt", "warnings"),
    [
        ({"workflow": CUT}, None, PROMPT, [f"the UI workflow is damaged and left out: {CUT_FAULT}"]),
        ({"prompt": CUT}, EDITOR, None, [f"the API prompt is damaged and left out: {CUT_FAULT}"]),
        ({"workflow": '{"nodes": [7]}'}, None, PROMPT, ["the UI workflow is damaged and left out: node number 0: 7; expected an object."]),
        ({"prompt": "a photo of a cat"}, EDITOR, None, ["the API prompt is damaged and left out: not JSON (Expecting value, line 1, column 1); expected a workflow."]),
        ({"workflow": "null"}, None, PROMPT, []),
        ({"workflow": "{}"}, None, PROMPT, []),
        ({"prompt": "{}"}, EDITOR, None, []),
        ({"prompt": ""}, EDITOR, None, []),
    ],
)  # fmt: skip
def test_one_damaged_text_does_not_spoil_the_other(texts: Any, editor: Any, prompt: Any, warnings: Any) -> None:
    workflow = read(png(*(text(key, value) for key, value in {**TEXTS, **texts}.items())))
    assert (workflow.editor, workflow.prompt) == (editor, prompt)
    assert list(workflow.warnings) == warnings


def test_two_damaged_texts_are_both_named() -> None:
    with pytest.raises(LLMSegError) as caught:
        read(png(text("prompt", CUT), text("workflow", "x")))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"a.png, prompt: {CUT_FAULT}"
    assert lines[1].startswith("a.png, workflow: not JSON (Expecting value")
    assert len(lines) == 2


@pytest.mark.parametrize("value", [{"prompt": PROMPT, "extra_pnginfo": {"workflow": EDITOR}}, [1, "id", PROMPT]])
def test_an_envelope_or_the_wrong_form_under_a_key_is_understood(value: Any) -> None:
    if isinstance(value, dict):
        assert read(png(text("workflow", json.dumps(value)))).editor == EDITOR
    assert read(png(text("workflow", TEXTS["prompt"]))).prompt == PROMPT
    assert read(png(text("prompt", TEXTS["workflow"]))).editor == EDITOR


REMEDY = "Programs and web sites that pass pictures on often strip it; ask for the file as ComfyUI saved it."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(), f"a.png: a PNG picture without a workflow; expected one that ComfyUI saved. {REMEDY}"),
        (png(text("Software", "x"), text("prompt", "null")), f"a.png: a PNG picture without a workflow; expected one that ComfyUI saved. {REMEDY}"),
        (saved("WEBP"), f"a.png: a WEBP picture without a workflow; expected one that ComfyUI saved. {REMEDY}"),
        (saved("JPEG"), f"a.png: a JPEG picture without a workflow; expected one that ComfyUI saved. {REMEDY}"),
        (png(text("parameters", "a cat\nSteps: 20, Sampler: Euler")), "a.png: a PNG picture with A1111 'parameters' only; expected a ComfyUI workflow. Such settings are no graph and cannot be run."),
        (png(text("prompt", CUT)), f"a.png, prompt: {CUT_FAULT}"),
        (png(chunk(b"zTXt", b"prompt\0\0garbage")), "a.png, prompt: damaged (Error -3 while decompressing data: incorrect header check); expected text packed by zlib."),
        (png(chunk(b"zTXt", b"prompt\0\0" + BOMB)), f"a.png, prompt: larger than {MAX_BYTES} bytes; expected a workflow."),
        (png(text("prompt", '{"1": {}, "1": {}}')), "a.png, prompt: key '1' twice; expected every key once."),
        (saved("GIF"), "a.png: a GIF picture, from which no workflow can be read; expected JSON, PNG, WEBP or JPEG. Open it in ComfyUI and export the workflow."),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "a.png: an MP4 or MOV video, from which no workflow can be read; expected JSON, PNG, WEBP or JPEG. Open it in ComfyUI and export the workflow."),
        (b"RIFF\4\0\0\0AVI ", "a.png: a RIFF file other than WEBP, from which no workflow can be read; expected JSON, PNG, WEBP or JPEG. Open it in ComfyUI and export the workflow."),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "a.png: an AVIF or HEIF picture that cannot be read (UnidentifiedImageError); expected PNG, WEBP or JPEG. Pillow 11.3 and later read AVIF."),
    ],
)  # fmt: skip
def test_what_carries_no_workflow_gets_one_clear_line(content: bytes, message: str) -> None:
    assert failure(content) == message


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    picture, json_file = tmp_path / "a.json", tmp_path / "b.png"
    picture.write_bytes(png(text("prompt", TEXTS["prompt"])))
    json_file.write_text(TEXTS["prompt"], encoding="utf-8")
    assert read_workflow(picture).prompt == PROMPT
    assert read_workflow(json_file).prompt == PROMPT


class Dripping(io.RawIOBase):
    """A pipe that gives a few bytes at a time and cannot go back."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.content.read(min(len(buffer), 3))
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_pipe_is_read_like_a_file(kind: str) -> None:
    stream: Any = Dripping(WITH_BOTH[kind]())
    assert read_stream(stream, "standard input").prompt == PROMPT


# EXIF: WEBP, JPEG, AVIF -----------------------------------------------------------------------------------------------


def with_exif(kind: str, **options: Any) -> bytes:
    return saved(kind, exif=exif(COMFYUI_TAGS), **options)


WITH_BOTH: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: png(*(text(key, value) for key, value in TEXTS.items())),
    "PNG, EXIF": lambda: with_exif("PNG"),
    "WEBP": lambda: with_exif("WEBP"),
    "WEBP, lossless": lambda: with_exif("WEBP", lossless=True),
    "JPEG": lambda: with_exif("JPEG"),
    **({"AVIF": lambda: with_exif("AVIF")} if features.check("avif") else {}),
}


@pytest.mark.parametrize("kind", WITH_BOTH)
def test_every_kind_of_picture_gives_the_same(kind: str) -> None:
    workflow = read(WITH_BOTH[kind]())
    assert (workflow.editor, workflow.prompt, workflow.warnings) == (EDITOR, PROMPT, ())


def test_an_animated_webp_as_comfyui_writes_it() -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    content = with_exif("WEBP", image=frames[0], save_all=True, append_images=frames[1:], duration=100)
    assert b"ANMF" in content
    assert (read(content).editor, read(content).prompt) == (EDITOR, PROMPT)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
@pytest.mark.parametrize(
    "tags",
    [
        {MAKE: f"Prompt:{TEXTS['prompt']}", DESCRIPTION: f"Workflow: {TEXTS['workflow']}"},
        {MODEL: f"prompt: {TEXTS['prompt']}", MAKE: "colour:{}", DESCRIPTION: f"workflow:{TEXTS['workflow']}"},
        {DESCRIPTION: json.dumps({"prompt": PROMPT, "workflow": EDITOR})},
    ],
    ids=["capitals", "further keys", "one object"],
)  # fmt: skip
def test_other_programs_use_other_tags(kind: str, tags: dict[int, Any]) -> None:
    workflow = read(saved(kind, exif=exif(tags)))
    assert (workflow.editor, workflow.prompt) == (EDITOR, PROMPT)


BOTH = json.dumps({"prompt": PROMPT, "workflow": EDITOR}, ensure_ascii=False)


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
@pytest.mark.parametrize(
    "comment",
    [
        b"ASCII\0\0\0" + json.dumps({"prompt": PROMPT, "workflow": EDITOR}).encode(),
        b"\0" * 8 + BOTH.encode(),
        BOTH.encode(),
        b"UNICODE\0" + BOTH.encode("utf-16-be"),
        b"UNICODE\0" + BOTH.encode("utf-16-le"),
        b"UNICODE\0\xff\xfe" + BOTH.encode("utf-16-le"),
        b"UNICODE\0\xfe\xff" + BOTH.encode("utf-16-be"),
    ],
    ids=["ascii", "undefined", "bare", "big", "little", "little, marked", "big, marked"],
)
def test_a_user_comment_may_hold_both(kind: str, comment: bytes) -> None:
    workflow = read(saved(kind, exif=exif({}, {USER_COMMENT: comment})))
    assert (workflow.editor, workflow.prompt) == (EDITOR, PROMPT)


def tiff(*entries: tuple[int, bytes], order: str = "<") -> bytes:
    """EXIF data made by hand: one directory of ASCII tags in the given byte order."""
    place = 8 + 2 + 12 * len(entries) + 4
    directory, body = struct.pack(order + "H", len(entries)), b""
    for tag, value in entries:
        directory += struct.pack(order + "HHII", tag, 2, len(value), place + len(body))
        body += value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + directory + b"\0\0\0\0" + body


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP"
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    body = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments)
    return b"\xff\xd8" + body + b"\xff\xda\0\x02\xff\xd9"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_pictures_made_by_hand(order: str, prefix: bytes) -> None:
    tags = [(tag, value.encode() + b"\0") for tag, value in sorted(COMFYUI_TAGS.items())]
    data = prefix + tiff(*tags, order=order)
    for content in (
        riff((b"VP8X", b"\0" * 9), (b"VP8 ", b"odd"), (b"EXIF", data)),
        jpeg(
            (0xE0, b"JFIF\0"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), (0xE1, b"Exif\0\0" + data[len(prefix) :])
        ),
        png(chunk(b"eXIf", data)),
    ):
        assert (read(content).editor, read(content).prompt) == (EDITOR, PROMPT)


def test_a_large_exif_of_a_jpeg_is_split_over_segments() -> None:
    prompt = {"1": {"class_type": "A", "inputs": {"x": "y" * 100_000}}}
    data = tiff((MODEL, b"prompt:" + json.dumps(prompt).encode()))
    pieces = [data[start : start + 60_000] for start in range(0, len(data), 60_000)]
    assert read(jpeg(*((0xE1, b"Exif\0\0" + piece) for piece in pieces))).prompt == prompt


def test_bare_markers_and_fill_bytes_of_a_jpeg_are_passed_over() -> None:
    content = with_exif("JPEG")
    assert read(content[:2] + b"\xff\xd0\xff\x01\xff\xff\xff" + content[2:]).prompt == PROMPT


def test_many_tags_that_claim_the_same_megabytes_cost_nothing() -> None:
    count, size = 20_000, 4_000_000
    entries = b"".join(struct.pack("<HHII", number, 2, size, 10) for number in range(count))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + b"\0" * size
    tracemalloc.start()
    try:
        assert exif_texts(data) == {}
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# Other files that carry one -------------------------------------------------------------------------------------------


def glb(asset: dict[str, Any]) -> bytes:
    description = json.dumps({"asset": asset}).encode()
    return b"glTF" + struct.pack("<III", 2, 20 + len(description), len(description)) + b"JSON" + description


def safetensors(metadata: dict[str, str] | None) -> bytes:
    header = json.dumps({"x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0"


SVG = '<?xml version="1.0"?>\n<svg xmlns="x">\n<style><![CDATA[a{}]]></style>%s</svg>'


@pytest.mark.parametrize(
    "content",
    [
        glb({"version": "2.0", "extras": TEXTS}),
        glb({"version": "2.0", "extras": {"prompt": PROMPT, "workflow": EDITOR}}),
        safetensors(TEXTS),
        (SVG % f"<metadata>\n <![CDATA[\n{BOTH}\n]]>\n</metadata>").encode(),
    ],
    ids=["glb, texts", "glb, objects", "safetensors", "svg"],
)
def test_models_latents_and_drawings(content: bytes) -> None:
    assert (read(content).editor, read(content).prompt) == (EDITOR, PROMPT)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (glb({"version": "2.0"}), "a GLB model"),
        (glb([]), "a GLB model"),  # type: ignore[arg-type]
        (safetensors(None), "a safetensors file"),
        ((SVG % "").encode(), "an SVG or HTML file"),
        (b"<html><metadata><![CDATA[", "an SVG or HTML file"),
    ],
)
def test_those_without_one_are_named(content: bytes, name: str) -> None:
    assert failure(content).startswith(f"a.png: {name} without a workflow; ")


def test_a_real_latent_file_opens(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "a.latent"
    save_file({"latent_tensor": torch.zeros(1, 4, 2, 3)}, path, metadata=TEXTS)
    assert (read_workflow(path).editor, read_workflow(path).prompt) == (EDITOR, PROMPT)


# Damage ---------------------------------------------------------------------------------------------------------------

SMALL: dict[str, Callable[[], bytes]] = {
    "png": lambda: png(international("workflow", TEXTS["workflow"], True), after=(text("prompt", TEXTS["prompt"]),)),
    "webp": lambda: with_exif("WEBP"),
    "jpeg": lambda: with_exif("JPEG"),
    "glb": lambda: glb({"extras": TEXTS}),
    "safetensors": lambda: safetensors(TEXTS),
}


def read_damaged(content: bytes) -> None:
    """Reads to a workflow or to an error of ours, each of whose lines says where."""
    try:
        workflow = read(content)
    except LLMSegError as error:
        assert all(line.startswith("a.png") for line in str(error).splitlines())  # noqa: PT017
    else:
        assert workflow.prompt is not None or workflow.editor is not None


@pytest.mark.parametrize("kind", SMALL)
def test_cut_at_every_byte(kind: str) -> None:
    content = SMALL[kind]()
    for end in range(len(content)):
        read_damaged(content[:end])


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits(kind: str, seed: int) -> None:
    content, generator = SMALL[kind](), random.Random(seed)
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        read_damaged(bytes(damaged))


@pytest.mark.parametrize("kind", SMALL)
def test_sizes_that_lie(kind: str) -> None:
    """Every group of four bytes becomes the largest number once, as a size or an offset may be."""
    content = SMALL[kind]()
    for place in range(4, min(len(content) - 4, 400)):
        for number in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"):
            read_damaged(content[:place] + number + content[place + 4 :])


def test_a_cut_png_gives_what_stood_before_the_cut() -> None:
    content = png(text("prompt", TEXTS["prompt"]), after=(text("workflow", TEXTS["workflow"]),))
    workflow = read(content[: content.index(b"IDAT") + 5])
    assert (workflow.editor, workflow.prompt) == (None, PROMPT)


def test_zlib_bombs_are_unpacked_once_and_not_to_the_end() -> None:
    chunks = [chunk(b"zTXt", key + b"\0\0" + BOMB) for key in (b"prompt", b"x", b"y", b"workflow")]
    content = png(*chunks * 4)
    tracemalloc.start()
    try:
        with pytest.raises(LLMSegError) as caught:
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES  # of 1024 MiB in each
    finally:
        tracemalloc.stop()
    larger = f"larger than {MAX_BYTES} bytes; expected a workflow."
    assert str(caught.value).splitlines() == [f"a.png, prompt: {larger}", f"a.png, workflow: {larger}"]


class Endless(io.RawIOBase):
    """A device that never ends."""

    def __init__(self, start: bytes) -> None:
        self.start = io.BytesIO(start)
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        content = self.start.read(size)
        content += bytes(size - len(content))
        self.given += size
        return content


def test_endless_streams_end() -> None:
    stream: Any = Endless(b"")
    with pytest.raises(InputError, match=f"^standard input: larger than {MAX_BYTES} bytes"):
        read_stream(stream, "standard input")
    picture = Endless(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**32 - 1) + b"IDAT")
    reader = ByteReader(picture, limit=10_000_000)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="larger than 10000000 bytes"):
        reader.skip(2**32)
    assert picture.given < 12_000_000
    chunks: Any = Endless(b"\x89PNG\r\n\x1a\n")  # empty chunks for ever
    assert "a PNG picture without a workflow" in failure_of(chunks)
    assert chunks.given < 10_000_000


def failure_of(stream: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_stream(stream, "a.png")
    return str(caught.value)


def test_reading_a_png_webp_or_jpeg_loads_no_picture_library(tmp_path: Path) -> None:
    paths = []
    for kind in ("PNG", "WEBP", "JPEG"):
        paths.append(tmp_path / f"a.{kind}")
        paths[-1].write_bytes(WITH_BOTH[kind]())
    code = "import sys; from pathlib import Path; from llmseg.graph import read_workflow\n"
    code += "for name in sys.argv[1:]: assert read_workflow(Path(name)).prompt\n"
    code += "print([name for name in ('PIL', 'numpy', 'torch') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True, timeout=60,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.stdout == "[]\n"
