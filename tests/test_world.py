"""The embedded world: scenes are exact and reproducible at any size.

Not here: the shipped files and the real font (`test_world_data`), how well the model does (benchmarks).
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from llmseg.errors import InputError, UnknownNameError
from tools.world import backgrounds, make_data, scenes, showcase, sprites, vocabulary


@pytest.fixture(scope="module")
def drawings() -> sprites.Sprites:
    """Coloured discs with a soft edge in place of the drawings, two looks each: no font needed."""
    y, x = np.mgrid[:128, :128] - 63.5
    radius = np.hypot(x * 1.3, y)
    alpha = np.clip((62 - radius) * 32, 0, 255)
    result = {}
    for number, fine in enumerate(vocabulary.FINE):
        looks = []
        for blue in (0, 255):
            pixels = np.empty((128, 128, 4), np.uint8)
            pixels[..., :3] = (number // 2, 255 - number // 2, blue)
            pixels[..., 3] = alpha
            pixels[:40, :64, 3] = 0  # lopsided, so that mirroring shows
            looks.append(sprites.make_sprite(Image.fromarray(pixels)))
        result[fine.name] = tuple(looks)
    return result


def slow_labels(scene: scenes.Scene, drawings: sprites.Sprites) -> list[list[int]]:
    """The naive twin: ask every pixel which drawing covers it, topmost first."""
    ids = vocabulary.label_ids()
    posed = [(p.name, *scenes.pose_sprite(drawings[p.name][p.look % 2], p)) for p in scene.placements]
    width, height = scene.image.size
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            label = ids[scene.backgrounds[0]]
            for name, sprite, (left, top) in posed:
                inside = 0 <= x - left < sprite.width and 0 <= y - top < sprite.height
                if inside and sprite.getpixel((x - left, y - top))[3] > 127:  # type: ignore[index]
                    label = ids[name]
            row.append(label)
        rows.append(row)
    return rows


# --- vocabulary ---


def test_vocabulary_counts_and_no_name_twice():
    assert (len(vocabulary.SUPERCLASSES), len(vocabulary.FINE), len(vocabulary.BACKGROUNDS)) == (42, 416, 10)
    names = vocabulary.known_names()
    assert len(names) == len(set(names)) > 3 * 406
    assert len(vocabulary.label_ids()) == 426 < vocabulary.UNUSED


def test_members_and_words_of_one_superclass():
    assert vocabulary.members("cat")[:3] == ("tabby", "kitten", "black cat")
    words = vocabulary.known_words()
    assert words == sorted(set(words))
    assert {"black", "tabby", "cat", "grass", "photo"} <= set(words)
    assert "labradoodle" not in words


# --- backgrounds ---


@pytest.mark.parametrize("name", backgrounds.PAINTERS)
def test_background_has_its_size_and_follows_its_seed(name):
    first = backgrounds.paint_background(name, 5, 70, 40)
    assert first.size == (70, 40)
    assert first.tobytes() == backgrounds.paint_background(name, 5, 70, 40).tobytes()
    assert first.tobytes() != backgrounds.paint_background(name, 6, 70, 40).tobytes()
    assert np.asarray(first).std() > 2


def test_every_background_has_a_painter():
    assert tuple(backgrounds.PAINTERS) == vocabulary.BACKGROUNDS


def test_unknown_background():
    expected = f"background: unknown name 'gras'; expected one of {', '.join(vocabulary.BACKGROUNDS)}."
    with pytest.raises(UnknownNameError) as caught:
        backgrounds.paint_background("gras", 0)
    assert str(caught.value) == f"{expected} Did you mean 'grass'?"


# --- scenes ---


@pytest.mark.parametrize(("width", "height"), [(96, 96), (128, 72), (70, 180)])
def test_same_seed_same_bytes_at_any_size(drawings, width, height):
    first = scenes.random_scene(3, drawings, width, height)
    again = scenes.random_scene(3, drawings, width, height)
    other = scenes.random_scene(4, drawings, width, height)
    assert first.image.size == (width, height)
    assert first.labels.shape == (height, width)
    assert make_data.encode_image(first.image) == make_data.encode_image(again.image)
    assert make_data.encode_labels(first.labels) == make_data.encode_labels(again.labels)
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_label_map_equals_a_loop_over_pixels(drawings, seed):
    scene = scenes.random_scene(seed, drawings, 104, 80)
    assert scene.labels.tolist() == slow_labels(scene, drawings)


def test_later_drawing_covers_and_edges_are_cut(drawings):
    image = Image.new("RGB", (80, 64), "white")
    ids = vocabulary.label_ids()
    placements = [scenes.Placement("pig", 0, 32, 60), scenes.Placement("cow", 20, 32, 60, True, 20.0)]
    labels = np.full((64, 80), ids["snow"], np.uint16)
    scene = scenes.compose_scene(image, labels, ["snow"], placements, drawings)
    assert scene.labels.tolist() == slow_labels(scene, drawings)
    assert scene.labels[32, 20] == ids["cow"]
    assert scene.labels[60, 79] == ids["snow"]
    assert labels.min() == ids["snow"], "the given label map stays as it was"
    assert image.getpixel((20, 32)) == (255, 255, 255), "the given picture stays as it was"


def test_posed_drawing_is_mirrored_scaled_and_centred(drawings):
    plain, corner = scenes.pose_sprite(drawings["pig"][0], scenes.Placement("pig", 50, 40, 40))
    mirrored, _ = scenes.pose_sprite(drawings["pig"][0], scenes.Placement("pig", 50, 40, 40, True))
    assert (plain.size, corner) == ((40, 40), (30, 20))
    assert np.array_equal(np.asarray(plain)[:, ::-1], np.asarray(mirrored))


def test_scene_statistics(drawings):
    many = [scenes.random_scene(seed, drawings) for seed in range(250)]
    placements = [p for scene in many for p in scene.placements]
    counts = np.bincount([len(scene.placements) for scene in many], minlength=5)
    assert counts[0] == 0
    assert counts[5:].sum() == 0
    assert 0.12 < counts[1] / len(many) < 0.45  # 20 % are asked for, crowding adds a few
    sizes = [p.size for p in placements]
    assert min(sizes) >= 12
    assert max(sizes) <= 120
    assert 20 < np.median(sizes) < 38  # crowding turns large ones away
    assert {p.look % 2 for p in placements} == {0, 1}
    assert 0.4 < np.mean([p.mirrored for p in placements]) < 0.6
    assert 9 < np.std([p.angle for p in placements]) < 15
    assert {scene.backgrounds[0] for scene in many} == set(vocabulary.BACKGROUNDS)


def test_cores_stay_apart_and_inside(drawings):
    for seed in range(60):
        placements = scenes.random_scene(seed, drawings, 120, 90).placements
        for number, one in enumerate(placements):
            margin = min(0.36 * one.size, 45)
            assert margin <= one.x <= 120 - margin
            assert margin <= one.y <= 90 - margin
            for other in placements[:number]:
                distance = max(abs(one.x - other.x), abs(one.y - other.y))
                assert distance > 0.36 * (one.size + other.size)


def test_training_never_shows_one_pair_in_ten_and_no_held_out_name(drawings):
    random = np.random.default_rng(0)
    rules = scenes.Rules(smallest=12, largest=30, new_pairs=False)
    numbers = {fine.name: number for number, fine in enumerate(vocabulary.FINE)}
    held_out = {fine.name for fine in vocabulary.FINE if fine.held_out}
    sums = []
    for _ in range(200):
        _, placements = scenes.random_contents(random, 96, 96, rules)
        names = [p.name for p in placements]
        assert not held_out & set(names)
        sums += [(numbers[a] + numbers[b]) % 10 for n, a in enumerate(names) for b in names[:n]]
    assert set(sums) == set(range(1, 10))


def test_rules_choose_names_and_sizes(drawings):
    rules = scenes.Rules(names=("goose", "stew"), smallest=20, largest=40, most=1)
    placements = [p for seed in range(30) for p in scenes.random_scene(seed, drawings, rules=rules).placements]
    assert {p.name for p in placements} == {"goose", "stew"}
    assert all(20 <= p.size <= 40 for p in placements)
    assert len(placements) == 30


def test_pool_cuts_what_it_painted():
    pool = scenes.BackdropPool(each=1, side=40)
    part = pool("brick", np.random.default_rng(1), 40, 40)
    whole = backgrounds.paint_background("brick", 50_000, 40, 40)
    assert part.tobytes() in (whole.tobytes(), whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes())


def test_light_is_a_line_per_channel():
    grey = Image.merge("RGB", [Image.linear_gradient("L")] * 3)
    for seed in range(20):
        lit = np.asarray(scenes.relight(grey, np.random.default_rng(seed))).astype(float)
        levels = lit[60:180, 128].mean(-1)  # far from black, white and the border
        straight = np.polyfit(np.arange(60, 180), levels, 1)
        assert 0.74 < straight[0] < 1.29
        assert np.abs(np.polyval(straight, np.arange(60, 180)) - levels).max() < 3 or levels.max() > 250


def test_level_is_the_smallest_that_is_large_enough(drawings):
    sprite = drawings["pig"][0]
    assert [level.width for level in sprite.levels] == [128, 64, 32, 16]
    assert [sprite.at_least(size).width for size in (12, 16, 17, 64, 100, 200)] == [16, 16, 32, 64, 128, 128]


def test_scene_too_small(drawings):
    with pytest.raises(InputError) as caught:
        scenes.random_scene(0, drawings, 96, 50)
    expected = "height: 50 pixels; expected at least 60, half the side of the largest drawing."
    assert str(caught.value) == expected


def test_unknown_drawing_is_named(drawings):
    labels = np.zeros((64, 64), np.uint16)
    image, bad = Image.new("RGB", (64, 64)), [scenes.Placement("poodel", 30, 30, 40)]
    with pytest.raises(UnknownNameError) as caught:
        scenes.compose_scene(image, labels, ["grass"], bad, drawings)
    message = "placement: unknown name 'poodel'; expected one of 416 names. Did you mean 'poodle'?"
    assert str(caught.value) == message


# --- showcase ---


@pytest.mark.parametrize("name", showcase.LAYOUTS)
def test_showcase_is_upright_sized_and_inside(name, drawings):
    layout = showcase.LAYOUTS[name]
    scene = showcase.showcase_scene(layout, drawings)
    assert scene.image.size == layout.size == (256, 192)
    assert scene.labels.shape == (192, 256)
    for placement in layout.placements:
        assert 40 <= placement.size <= 64
        assert placement.angle == 0
        half = placement.size / 2
        assert half <= placement.x <= 256 - half
        assert half <= placement.y <= 192 - half
    ids = vocabulary.label_ids()
    expected = {ids[p.name] for p in layout.placements} | {ids[name] for name, _, _ in layout.bands}
    assert set(np.unique(scene.labels)) == expected
