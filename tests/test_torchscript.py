"""`torchscript`, `bags`: archives as OpenAI publishes them are read without being run; hostile ones are refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llmseg.encoder import load_encoder
from llmseg.errors import ModelError
from llmseg.models import bags
from llmseg.models.torchscript import is_torchscript, read_torchscript
from llmseg.models.weights import read_weights

pytestmark = pytest.mark.filterwarnings("ignore")  # torch says that TorchScript is old


class Parts(torch.nn.Module):
    """Everything that a scripted module may keep."""

    def __init__(self) -> None:
        super().__init__()
        self.small = torch.nn.Linear(3, 4).half()
        self.free = torch.nn.Parameter(torch.randn(5, dtype=torch.bfloat16))
        self.register_buffer("context_length", torch.tensor(77))
        self.register_buffer("few", torch.randn(7, 5)[1:6, 2:].t())  # a view into its storage
        self.register_buffer("none", torch.zeros(0, 3))
        self.register_buffer("few_bytes", torch.arange(9, dtype=torch.uint8))
        self.mask = torch.zeros(2, 2)
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
        self.attention = torch.nn.MultiheadAttention(4, 2)
        self.numbers, self.pair, self.rate = [1, 2], (1, "a"), 2.5
        self.table = {"a": 1}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.mask


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jit") / "parts.pt"
    torch.jit.script(Parts()).save(str(path))
    return path


def test_every_tensor_of_a_scripted_module(archive: Path) -> None:
    assert is_torchscript(archive)
    wanted = torch.jit.load(str(archive)).state_dict()
    found = read_torchscript(archive)
    assert found.keys() == wanted.keys() | {"mask"}
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].equal(tensor), name


def test_a_state_dict_is_no_archive_of_code(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"PK\x03\x04 but no zip")
    assert not any(is_torchscript(tmp_path / name) for name in ("a.pt", "b.pt", "none.pt"))


@pytest.mark.slow
def test_openais_own_form_gives_open_clips_embeddings(tmp_path: Path) -> None:
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(0)
    vision = model.CLIPVisionCfg(layers=2, width=128, head_width=64, patch_size=8, image_size=32)
    clip = model.CLIP(32, vision, model.CLIPTextCfg(16, 49408, 64, 1, 2), quick_gelu=True).eval()
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.1 if parameter.ndim > 1 else 0.5)
    for name, number in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
        if name in vars(clip):
            delattr(clip, name)
        clip.register_buffer(name, torch.tensor(number))
    tokens = torch.tensor([[49406, 320, 1000, 49407, *[0] * 12], [49406, 5, 6, 7, 8, 49407, *[0] * 10]])
    images = torch.randn(2, 3, 32, 32)
    for parameter in clip.parameters():
        parameter.data = parameter.data.half().float()
    with torch.no_grad():
        image, text = clip.encode_image(images), clip.encode_text(tokens)
    traced = torch.jit.trace(clip, (images, tokens), check_trace=False)
    traced.half().save(str(tmp_path / "ViT-T-8.pt"))

    weights: Any = read_weights(str(tmp_path / "ViT-T-8.pt"))
    assert (weights.name, weights.config.activation) == ("ViT-T-8", "quickgelu")
    assert weights.state["visual.conv1.weight"].dtype == torch.float16
    encoder = load_encoder(str(tmp_path / "ViT-T-8.pt"))
    with torch.no_grad():
        torch.testing.assert_close(encoder.module.visual(images), image, atol=1e-5, rtol=0)
        torch.testing.assert_close(encoder.module.encode_text(tokens), text, atol=1e-5, rtol=0)
    for height, width in ((16, 72), (64, 8)):
        assert encoder.encode_patches(torch.rand(1, 3, height, width)).shape == (1, height // 8, width // 8, 32)


# --- hostile ---


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_weights(str(path))
    text = str(caught.value)
    start, end = f"model: cannot read {path.name!r} as a TorchScript archive (", (
        "); expected the tensors of a CLIP, as in OpenAI's own files. Get the file again, or its .safetensors edition."
    )  # fmt: skip
    assert text.startswith(start)
    assert text.endswith(end)
    problem = text[len(start) : -len(end)]
    assert len(problem) <= 200
    return problem


def rewrite(
    archive: Path, target: Path, change: Callable[[str, bytes], bytes | None], kind: int = zipfile.ZIP_STORED
) -> Path:
    """The archive with its entries changed; None leaves one out."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w", kind) as made:
        for name in source.namelist():
            if (data := change(name, source.read(name))) is not None:
                made.writestr(name, data)
    return target


def with_pickle(archive: Path, target: Path, data: bytes) -> Path:
    return rewrite(archive, target, lambda name, old: data if name.endswith("data.pkl") else old)


GLOBAL, BAG = b"\x80\x02", b"c__torch__\nM\n)\x81"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def storage(key: str = "0", count: bytes = b"K\x05", kind: str = "BFloat16Storage") -> bytes:
    text = b"".join(b"X" + len(part).to_bytes(4, "little") + part.encode() for part in ("storage",))
    name = b"X" + len(key).to_bytes(4, "little") + key.encode()
    return b"(" + text + f"ctorch\n{kind}\n".encode() + name + b"X\x03\x00\x00\x00cpu" + count + b"tQ"


def tensor(
    numbers: bytes = b"", offset: bytes = b"K\x00", shape: bytes = b"K\x05\x85", stride: bytes = b"K\x01\x85"
) -> bytes:
    """A module with one tensor."""
    return (
        GLOBAL
        + BAG
        + b"}X\x01\x00\x00\x00a"
        + TENSOR
        + b"("
        + (numbers or storage())
        + offset
        + shape
        + stride
        + b"\x89NtRsb."
    )


def number(value: int) -> bytes:
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def nested(depth: int) -> bytes:
    """A tuple of two of a tuple of two ...: a few bytes that would print without end."""
    return b")" + b"".join(b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86" for level in range(depth))


HOSTILE = {
    "a function of the system": (GLOBAL + b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "ValueError('a call of os.system')"),
    "a function in a module": (GLOBAL + BAG + b"}X\x01\x00\x00\x00acos\nsystem\n)Rsb.", "ValueError('a call of os.system')"),
    "an object of the system": (GLOBAL + b"cos\nsystem\n)\x81.", "ValueError('an object of os.system')"),
    "an older way to call": (GLOBAL + b"(X\x04\x00\x00\x00trueios\nsystem\n.", "ValueError('the operation 0x69')"),
    "a name from the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "ValueError('the operation 0x8c')"),
    "an extension": (b"\x80\x02\x82\x01.", "ValueError('the operation 0x82')"),
    "a call of a module": (GLOBAL + BAG + b")R.", "ValueError('a call of what is no name')"),
    "no module": (GLOBAL + b"K\x01.", "ValueError('no module')"),
    "an empty pickle": (b"", "ValueError('a pickle that is cut off')"),
    "cut off": (tensor()[:60], None),
    "nothing on the stack": (GLOBAL + b".", "IndexError('pop from empty list')"),
    "a memo that is not there": (GLOBAL + b"j\xff\xff\xff\x7f.", "KeyError(2147483647)"),
    "a text without an end": (GLOBAL + b"X\xff\xff\xff\x7fa.", "ValueError('a pickle that is cut off')"),
    "a number without an end": (GLOBAL + b"\x8a\xffa.", "ValueError('a pickle that is cut off')"),
    "bytes": (GLOBAL + b"\x8e\xff\xff\xff\xff\xff\xff\xff\x00a.", "ValueError('the operation 0x8e')"),
    "a tensor larger than its storage": (
        tensor(shape=number(10**12) + b"\x85"),
        "ValueError('a tensor of shape (1000000000000,) in a storage of 5 numbers')",
    ),
    "a tensor that repeats one number": (
        tensor(shape=number(10**12) + b"\x85", stride=b"K\x00\x85"),
        "ValueError('a tensor of shape (1000000000000,) in a storage of 5 numbers')",
    ),
    "a stride beyond": (tensor(stride=b"K\x02\x85"), "ValueError('a tensor of shape (5,) in a storage of 5 numbers')"),
    "an offset beyond": (tensor(offset=b"K\x01"), "ValueError('a tensor of shape (5,) in a storage of 5 numbers')"),
    "an offset before": (
        tensor(offset=b"J\xff\xff\xff\xff"), "ValueError('a tensor whose shape is not of whole numbers')"
    ),
    "a shape of nested tuples": (
        tensor(shape=nested(40)), "ValueError('a tensor without a storage or a shape')"
    ),
    "nested tuples as a size": (
        tensor(shape=nested(40) + b"\x85"), "ValueError('a tensor whose shape is not of whole numbers')"
    ),
    "a key of nested tuples": (GLOBAL + BAG + b"}" + nested(40) + b"K\x01sb.", "ValueError('a key that is no text')"),
    "a call of nested tuples": (GLOBAL + nested(40) + b")R.", "ValueError('a call of what is no name')"),
    "nine dimensions": (
        tensor(shape=b"(" + b"K\x01" * 9 + b"t", stride=b"(" + b"K\x01" * 9 + b"t"),
        "ValueError('a tensor without a storage or a shape')",
    ),
    "a storage that claims more": (
        tensor(storage(count=number(10**12))), "ValueError(\"storage '0' claims 1000000000000 numbers, not 5\")"
    ),
    "a storage that is not there": (tensor(storage("nowhere")), None),
    "a storage from elsewhere": (tensor(storage("../../etc/passwd")), None),
    "a storage of objects": (tensor(storage(kind="UntypedStorage")), "KeyError('UntypedStorage')"),
    "a persistent id of another kind": (GLOBAL + b"K\x01Q.", "ValueError('a storage of another kind')"),
    "a module in itself": (
        GLOBAL + BAG + b"q\x00}X\x01\x00\x00\x00ah\x00sb.", "ValueError('modules without end')"
    ),
    "modules without number": (
        GLOBAL + BAG + b"".join(
            b"q" + bytes([level]) + b"0"[:0] + BAG + b"}(" + b"".join(
                b"X\x02\x00\x00\x00a" + bytes([65 + child]) + b"h" + bytes([level]) for child in range(20)
            ) + b"ub" for level in range(12)
        ) + b".",
        "ValueError('modules without end')",
    ),
    "attributes twice": (
        GLOBAL + BAG + b"}X\x01\x00\x00\x00aK\x01sb}b.",
        "ValueError('a module without attributes, or with two sets of them')",
    ),
    "a long name": (GLOBAL + BAG + b"}X\x00\x04\x00\x00" + b"a" * 1024 + b"K\x01sb.", "ValueError('modules without end')"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_refused(archive: Path, tmp_path: Path, case: str) -> None:
    data, problem = HOSTILE[case]
    found = refusal(with_pickle(archive, tmp_path / "bad.pt", data))
    assert problem is None or found == problem


def test_what_the_hostile_cases_are_made_of_is_otherwise_read(archive: Path, tmp_path: Path) -> None:
    found = read_torchscript(with_pickle(archive, tmp_path / "good.pt", tensor()))
    assert found["a"].equal(torch.jit.load(str(archive)).state_dict()["free"])
    assert bags.read_bags(GLOBAL + nested(3) + b".", bool, bool) == ((((), ()), ((), ())), (((), ()), ((), ())))


def test_other_names_never_reach_the_import_machinery(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "Unpickler", never)
    monkeypatch.setattr(pickle, "loads", never)
    assert read_torchscript(archive)
    refusal(with_pickle(archive, tmp_path / "bad.pt", HOSTILE["a function of the system"][0]))


def test_entries_must_be_stored_whole_and_as_they_are(archive: Path, tmp_path: Path) -> None:
    packed = rewrite(archive, tmp_path / "packed.pt", lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert refusal(packed).startswith("ValueError(\"entry 'data.pkl' of ")
    missing = rewrite(archive, tmp_path / "missing.pt", lambda name, data: None if name.endswith("data/3") else data)
    assert "There is no item named" in refusal(missing)
    short = rewrite(archive, tmp_path / "short.pt", lambda name, data: data[:-2] if name.endswith("data/0") else data)
    assert " claims " in refusal(short)
    without = rewrite(archive, tmp_path / "without.pt", lambda name, data: None if name.endswith("data.pkl") else data)
    assert refusal(without).startswith("StopIteration")
    huge = with_pickle(archive, tmp_path / "huge.pt", tensor()[:-1] + b"N0" * 2**21)
    assert refusal(huge).startswith("ValueError(\"entry 'data.pkl' of 4")


def test_numbers_that_changed_on_the_way_are_noticed(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        info = source.getinfo("parts/data/6")
    data = bytearray(archive.read_bytes())
    place = data.index(b"parts/data/6", info.header_offset)
    place += len(b"parts/data/6") + int.from_bytes(data[info.header_offset + 28 : info.header_offset + 30], "little")
    data[place] ^= 255
    (tmp_path / "bad.pt").write_bytes(data)
    assert "Bad CRC-32" in refusal(tmp_path / "bad.pt")


def test_entries_that_lie_over_each_other_claim_no_more_than_the_file(tmp_path: Path) -> None:
    numbers = 4096
    shell = zipfile.ZipFile(tmp_path / "bomb.pt", "w")
    with shell:
        shell.writestr("x/constants.pkl", b"\x80\x02).")
        modules = b"".join(
            b"X\x02\x00\x00\x00a" + bytes([65 + count]) + TENSOR + b"("
            + storage(str(count), number(numbers), "ByteStorage") + b"K\x00" + number(numbers) + b"\x85K\x01\x85\x89NtR"
            for count in range(20)
        )  # fmt: skip
        shell.writestr("x/data.pkl", GLOBAL + BAG + b"}(" + modules + b"ub.")
        shell.writestr("x/data/0", bytes(numbers))
        first = shell.getinfo("x/data/0")
        for count in range(1, 20):  # twenty names for the same bytes
            twin = zipfile.ZipInfo(f"x/data/{count}")
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            twin.file_size = twin.compress_size = numbers
            shell.filelist.append(twin)
            shell.NameToInfo[twin.filename] = twin
    assert (tmp_path / "bomb.pt").stat().st_size < 4 * numbers
    assert refusal(tmp_path / "bomb.pt")  # Python itself notices the other name, or we the sum


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_a_truncated_archive_is_refused(archive: Path, tmp_path: Path, share: float) -> None:
    data = archive.read_bytes()
    (tmp_path / "bad.pt").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError) as caught:
        read_weights(str(tmp_path / "bad.pt"))
    assert str(caught.value).startswith("model: cannot read 'bad.pt' as ")


def test_random_damage_gives_one_kind_of_error(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        good = source.read("parts/data.pkl")
    generator = torch.Generator().manual_seed(0)
    refused = 0
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(3):
            at, value = (int(torch.randint(limit, (), generator=generator)) for limit in (len(bad), 256))
            bad[at] = value
        path = with_pickle(archive, tmp_path / "bad.pt", bytes(bad))
        try:
            read_torchscript(path)
        except ModelError:
            refused += 1
    assert refused > 50


def test_a_scripted_module_of_something_else_is_no_model(archive: Path) -> None:
    with pytest.raises(ModelError, match=r"'parts.pt' holds no model that is known here, its first tensors are "):
        read_weights(str(archive))
    assert io.BytesIO(archive.read_bytes()).read(2) == b"PK"
