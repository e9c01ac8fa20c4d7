"""The training of the embedded model: captions say what is there, losses are what they say, nothing is lost.

Not here: scenes (`test_world`), how good the result is (benchmarks).
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from tools.train.captions import Narrator, frame_phrase
from tools.train.recipe import Recipe, Stage, model_config
from tools.world.scenes import Placement
from tools.world.sprites import make_sprite
from tools.world.vocabulary import FINE, known_names, plural

torch = pytest.importorskip("torch")

from torch.nn.functional import normalize  # noqa: E402

from llmseg.attention import ATTENTION  # noqa: E402
from llmseg.dense import embed_patches  # noqa: E402
from llmseg.encoder import load_encoder  # noqa: E402
from tools.train import batches, export, objective, towers, trainer  # noqa: E402

TINY = Recipe(
    stages=(Stage(side=48, batch=4, first=0, most=1, smallest=14, largest=40), Stage(96, 4, 8, 4, 12, 60)), warm_up=2
)


@pytest.fixture(scope="module")
def drawings():
    """One plain square of its own grey per drawing."""
    squares = (Image.new("RGBA", (128, 128), (n % 256, n // 2, 99, 255)) for n in range(len(FINE)))
    return {fine.name: (make_sprite(square),) for fine, square in zip(FINE, squares, strict=True)}


def first(superclass, typical=True):
    return next(fine for fine in FINE if fine.superclass == superclass and fine.typical is typical)


# --- captions ---


def test_a_narrator_keeps_a_word_and_two_differ():
    words = {fine.name: set() for fine in FINE[:40]}
    for seed in range(60):
        narrator = Narrator(np.random.default_rng(seed))
        for fine in FINE[:40]:
            word = narrator.word(fine.name)
            assert narrator.word(fine.name) == word
            words[fine.name].add(word)
    assert min(len(found) for found in words.values()) >= 3


def test_words_of_a_drawing_are_its_names_plurals_and_superclass():
    known = set(known_names())
    for seed, fine in enumerate(fine for fine in FINE if not fine.held_out):
        word = Narrator(np.random.default_rng(seed)).word(fine.name)
        assert word in known
        assert word in {form for name in fine.wordings for form in (name, plural(name))} | {fine.superclass}


@pytest.mark.parametrize(("superclass", "share"), [("dog", 0.03), ("cat", 0.2), ("wild cat", 0.5)])
def test_share_of_the_superclass_word(superclass, share):
    for fine, expected in ((first(superclass), share), (first(superclass, typical=False), 0.03)):
        said = [Narrator(np.random.default_rng(seed)).word(fine.name) == superclass for seed in range(2000)]
        assert abs(np.mean(said) - expected) < 0.035


def test_caption_names_everything_once():
    narrator = Narrator(np.random.default_rng(3))
    placements = [Placement(name, 0, 0, 20) for name in ("owl", "pie", "pig")]
    told = 0
    for _ in range(200):
        caption = narrator.describe(placements, "snow")
        assert all(thing in caption.text for thing in caption.things)
        assert (caption.background == "snow") is ("snow" in caption.text)
        told += bool(caption.background)
    assert 150 < told < 190  # 85 %


def test_caption_of_an_empty_scene_names_the_background():
    assert Narrator(np.random.default_rng(0)).describe([], "sand").background == "sand"


def test_phrases_are_framed_as_the_library_frames_them():
    random = np.random.default_rng(0)
    framed = {frame_phrase("owl", random) for _ in range(100)}
    assert framed == {
        "owl",
        "an owl",
        "a photo of an owl",
        "a picture of an owl",
        "an image of an owl",
        "a photo of owl",
    }


# --- batches ---


@pytest.mark.slow
def test_batch_depends_on_seed_and_number_only(drawings):
    stage = TINY.stages[1]
    one, other = batches.Batches(drawings, 5), batches.Batches(drawings, 5)
    other.make(0, stage)
    for mine, theirs in zip(one.make(7, stage), other.make(7, stage), strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(one.make(7, stage).images, one.make(8, stage).images)


@pytest.mark.slow
def test_batch_says_who_holds_what(drawings):
    batch = batches.Batches(drawings, 1).make(0, Stage(96, 30, 0, 4, 12, 60))
    assert batch.images.shape == (30, 96, 96, 3)
    assert batch.holds.shape == (30, len(batch.phrases))
    assert batch.holds.any(0).all(), "every phrase is in some caption"
    assert torch.equal(batch.told, (batch.holds & batch.stuff).any(1))
    assert (batch.holds & batch.stuff).sum(1).max() == 1
    assert batch.same.diagonal().all()


def test_rows_of_the_token_table():
    rows = batches.tokenize(["a poodle on grass", "zzyzx"])
    count = len(batches.token_ids())
    assert rows[0].max() == count == int(rows[0, 5])
    assert rows[0, 0] == rows[1, 0] == count - 1
    assert 0 in rows[1, 1:3], "an unknown token is row 0"


# --- towers ---


def test_fast_towers_equal_the_library():
    config = model_config(60)
    clip = towers.new_clip(config, 0)
    both = towers.Towers(clip, 10.0)
    pixels, rows = torch.randn(2, 3, 96, 96), torch.tensor([[58, 4, 7, 59, 0], [58, 9, 9, 9, 59]])
    out, before = both.image(pixels, both.positions(12, (0, 0)))
    with torch.no_grad():
        patches = embed_patches(clip.visual, pixels, ATTENTION["vanilla"]).flatten(1, 2)
        assert torch.allclose(normalize(both.read_out(out)[:, 1:], dim=-1), patches, atol=1e-4)
        assert torch.allclose(both.read_out(out)[:, 0], clip.visual(pixels), atol=1e-4)
        assert torch.allclose(both.text(rows), clip.encode_text(rows), atol=1e-4)
        naclip = embed_patches(clip.visual, pixels, ATTENTION["naclip"]).flatten(1, 2)
        second = both.read_out(both.second_way(before, "keys"))[:, 1:]
        assert torch.allclose(normalize(second, dim=-1), naclip, atol=1e-4)


def test_second_way_reaches_the_value_path():
    both = towers.Towers(towers.new_clip(model_config(60), 0), 10.0)
    _, before = both.image(torch.randn(1, 3, 48, 48), both.positions(6, (2, 3)))
    for path in towers.PATHS:
        both.zero_grad()
        both.read_out(both.second_way(before, path)).square().sum().backward(retain_graph=True)
        gradient = both.clip.visual.transformer.resblocks[-1].attn.in_proj_weight.grad
        assert gradient[2 * 192 :].abs().sum() > 0


# --- objective ---


def test_global_loss_equals_a_loop():
    torch.manual_seed(0)
    pictures, captions = torch.randn(4, 6), torch.randn(4, 6)
    same = torch.eye(4, dtype=torch.bool)
    same[0, 2] = same[2, 0] = True
    cosines = torch.cosine_similarity(pictures[:, None], captions[None], dim=-1) * 7
    total = 0.0
    for i, table in itertools.product(range(4), (cosines, cosines.T)):
        rivals = [j for j in range(4) if j == i or not same[i, j]]
        total -= float(table[i, i] - torch.stack([table[i, j] for j in rivals]).logsumexp(0))
    assert float(objective.global_loss(pictures, captions, torch.tensor(7.0), same)) == pytest.approx(total / 8, 1e-4)


def slow_local_loss(patches, phrases, scale, batch, recipe):
    """The naive twin of `objective.local_loss`, one pair at a time."""
    logits = scale * torch.cosine_similarity(patches[:, :, None], phrases[None, None], dim=-1)
    count = logits.shape[1]
    most = [
        max(3, round(count * recipe.stuff_share)) if s else max(2, round(count * recipe.thing_share))
        for s in batch.stuff
    ]
    pooled = torch.stack(
        [torch.stack([row[:, k].topk(most[k]).values.mean() for k in range(len(most))]) for row in logits]
    )
    presence, competition, explanation = [], [], []
    shares = logits.log_softmax(-1)
    for b, k in batch.holds.nonzero().tolist():
        for rivals in (pooled[b][~batch.holds[b]], pooled[:, k][~batch.holds[:, k]]):
            presence.append(torch.cat([pooled[b, k][None], rivals]).logsumexp(0) - pooled[b, k])
        competition.append(shares[b, :, k].topk(most[k]).values.mean())
    for b in batch.told.nonzero()[:, 0].tolist():
        sooner = torch.tensor([1.0 if s else recipe.thing_prior for s in batch.stuff]).log()[batch.holds[b]]
        explanation += [(shares[b, p][batch.holds[b]] + sooner).logsumexp(0) for p in range(count)]
    pairs = len(competition)
    hard = -(torch.stack(competition).mean() + recipe.hard_weight * torch.stack(explanation).mean())
    return torch.stack(presence).sum() / pairs, hard


@pytest.mark.slow
def test_local_loss_equals_a_loop(drawings):
    batch = batches.Batches(drawings, 2).make(0, Stage(96, 6, 0, 3, 12, 60))
    torch.manual_seed(1)
    patches, phrases = torch.randn(6, 20, 8), torch.randn(len(batch.phrases), 8)
    fast = objective.local_loss(patches, phrases, torch.tensor(5.0), batch, TINY)
    slow = slow_local_loss(patches, phrases, torch.tensor(5.0), batch, TINY)
    for mine, theirs in zip(fast, slow, strict=True):
        assert float(mine) == pytest.approx(float(theirs), rel=1e-4)


# --- schedule, loop, file ---


def test_rates_rise_stay_and_fall():
    recipe = Recipe(warm_up=10, cool_down=0.25)
    assert [recipe.rate_factor(step, 0.1) for step in (0, 4, 9, 50)] == pytest.approx([0.1, 0.5, 1, 1])
    assert [recipe.rate_factor(99, done) for done in (0.75, 0.875, 1.0, 1.2)] == pytest.approx([1, 0.5, 0, 0])


def test_stages_join_after_the_scenes_seen_and_share_the_steps_evenly():
    assert {TINY.stage(7, draw).side for draw in (0.0, 0.5, 0.999)} == {48}
    assert [TINY.stage(8, draw).side for draw in (0.0, 0.499, 0.5, 0.999)] == [48, 48, 96, 96]


def steps(drawings, folder, count, checkpoint=None):
    made = trainer.Trainer(TINY, drawings, folder, "cpu", compiled=False)
    if checkpoint is not None:
        made.resume(checkpoint)
    for batch in itertools.islice(made._stream(), count):
        made._step(batch, 0.5)
        made._count(batch)
    return made


@pytest.mark.slow
def test_resumed_training_equals_an_uninterrupted_one(drawings, tmp_path):
    whole = steps(drawings, tmp_path, 4)
    steps(drawings, tmp_path, 2).save()
    resumed = steps(drawings, tmp_path, 2, tmp_path / "last.pt")
    assert resumed.progress.scenes == whole.progress.scenes == 16
    for name, tensor in whole.average.items():
        assert torch.allclose(tensor, resumed.average[name], atol=1e-6), name


@pytest.mark.slow
def test_budget_log_snapshot_and_file(drawings, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "LOG_EVERY", 1)
    made = trainer.Trainer(TINY, drawings, tmp_path, "cpu", compiled=False)
    made.run(minutes=0.02, snapshots=(0.001,))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert log[-1]["seconds"] >= 1.1
    assert log[-1]["step"] == len(log) == made.progress.step
    assert (tmp_path / "at_0.001_minutes.pt").is_file()
    export.export_model(tmp_path / "last.pt", tmp_path / "model.safetensors", TINY)
    assert (tmp_path / "model.safetensors").stat().st_size < 15e6
    encoder = load_encoder(str(tmp_path / "model.safetensors"))
    assert encoder.name == export.NAME
    assert encoder.unknown_words("poodle zzyzx") == ("zzyzx",)
    clip = made.towers.clip
    with torch.no_grad():
        for name, tensor in made.towers.named_parameters():
            tensor.copy_(made.average[name])
        ours = torch.nn.functional.normalize(clip.encode_text(batches.tokenize(["a poodle"])), dim=-1)
    assert torch.allclose(encoder.encode_text(["a poodle"]), ours, atol=5e-3), "half precision, all tokens again"
