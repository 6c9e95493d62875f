"""Context scenes: what an object is called depends on the key alone, wherever the key is."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image

from mmext.prepare import context as script
from mmext.prepare import stamps_pictures as choice
from mmext.prepare.stamps_packages import Package
from tests.prepare.written import contents

FEW = {"train": 4, "dev": 3, "test": 3}


def flat_pictures():
    """Opaque blocks, a colour for each class, on a black photograph: pixels tell what they show."""
    stamps = [
        [choice.Stamp(f"a/{k}", k, np.full((80, 60, 4), (40 * k + 15, 0, 255, 255), np.uint8))]
        for k in range(6)
    ]
    return choice.Pictures(stamps, {"flat.jpg": Image.new("RGB", (700, 500))})


@pytest.fixture(scope="module")
def scenes():
    return {
        place: [
            script.compose(flat_pictures(), np.random.default_rng([number, n]), place)
            for n in range(120)
        ]
        for number, place in enumerate(script.DISTANCES)
    }


def test_far_is_far_and_near_is_near(scenes):
    far, near = (
        [distance for keyed in scenes[place] for distance in keyed.distances()]
        for place in ("far", "near")
    )
    assert min(far) >= 200
    assert max(near) <= 140
    assert min(near) > 5  # a key that is hidden by an object is so in part only
    for keyed in scenes["far"] + scenes["near"]:
        assert 2 <= len(keyed.centres) == len(keyed.scene.instances) <= 4


@pytest.mark.parametrize("place", script.DISTANCES)
def test_the_key_decides_what_objects_are_called_and_nothing_else_does(scenes, place):
    called = defaultdict(Counter)
    for keyed in scenes[place]:
        semantic, context = keyed.maps()
        key, *others = keyed.scene.instances
        assert list(choice.CLASSES)[key.stamp.label] == keyed.key
        assert (semantic[key.mask] == 1 + script.KEYS.index(keyed.key)).all()
        for one in others:
            assert one.stamp.label in {0, 2, 4, 5}  # no second key
            assert (semantic[one.mask] == 3 + script.KEYS.index(keyed.key)).all()
            called[one.stamp.label][keyed.key] += 1
        np.testing.assert_array_equal(semantic > 0, keyed.scene.pixels[..., 2] == 255)
        np.testing.assert_array_equal(context, np.where(semantic >= 3, semantic, 255))
    # Each kind of object goes under either name about equally often: what it shows tells nothing.
    for counts in called.values():
        assert 0.3 < counts["bird"] / counts.total() < 0.7
    assert 0.4 < sum(keyed.key == "bird" for keyed in scenes[place]) / len(scenes[place]) < 0.6


def test_an_object_s_place_does_not_tell_the_key(scenes):
    for keyed_scenes in scenes.values():
        centres = {key: [] for key in script.KEYS}
        for keyed in keyed_scenes:
            centres[keyed.key] += keyed.centres[1:]
        means = [np.mean(centres[key], axis=0) for key in script.KEYS]
        assert np.abs(means[0] - means[1]).max() < 40


def test_equal_generators_make_equal_scenes_and_others_do_not():
    first, again, other = (
        script.compose(flat_pictures(), np.random.default_rng(seed), "far").scene.pixels
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_cut_outs_that_never_fit_are_refused():
    pictures = flat_pictures()
    tiny = [[choice.Stamp("a", k, np.full((2, 2, 4), 255, np.uint8))] for k in range(6)]
    with pytest.raises(ValueError, match="expected cut-outs that fit into a scene, got none"):
        script.compose(choice.Pictures(tiny, pictures.photos), np.random.default_rng(0), "near")


@pytest.fixture
def made_up(monkeypatch):
    """Packages of a few discs and three photographs, without their files."""

    def divided(stamps, photos, divide, splits):
        assert divide is choice.three_ways
        return {split: flat_pictures() for split in splits}

    monkeypatch.setattr(script, "NUM_SCENES", FEW)
    monkeypatch.setattr(script, "split_pictures", divided)
    monkeypatch.setattr(script, "fetch_both", lambda cache: {})
    monkeypatch.setattr(
        script, "unpack", lambda paths: Package({}, {}, b"take and use", {"pictures": "x"})
    )


@pytest.mark.usefixtures("made_up")
def test_files_are_the_same_for_the_same_seed_and_made_anew_when_damaged(tmp_path):
    roots = {name: tmp_path / name for name in ("first", "again", "other")}
    for name, root in roots.items():
        script.prepare(root, tmp_path, seed=5 if name == "other" else 0)
    first, again, other = map(contents, roots.values())
    assert len(first) == 2 * (10 * 2 + 6 + 1) + 1
    assert first == again
    assert {name for name in first if first[name] == other[name]} == {"LICENSE"}
    for damage in (
        "far/train/0001.jpg",
        "near/context/test/0003.png",
        "far/semantic/dev/0002.png",
        "LICENSE",
    ):
        (roots["first"] / damage).unlink()
        script.prepare(roots["first"], tmp_path)
        assert contents(roots["first"]) == again
    older = roots["first"] / "near" / "scenes.json"
    older.write_text(older.read_text().replace(script.RECIPE, "older"))
    script.prepare(roots["first"], tmp_path)
    assert contents(roots["first"]) == again
    assert not (roots["first"] / "far" / "context" / "train").exists()
    noted = script.read_scenes(roots["first"], "far")["test"][0]
    assert len(noted["stamps"]) == 1 + len(noted["distances"])
    assert json.loads(json.dumps(noted)) == noted
    assert script.summary(roots["first"]).count("\n") == 5


@pytest.mark.slow
def test_the_real_scenes_are_balanced_and_share_no_picture(context_scenes):
    for place in script.DISTANCES:
        scenes = script.read_scenes(context_scenes, place)
        stamps, photos = ({}, {})
        for split, number in script.NUM_SCENES.items():
            assert len(scenes[split]) == number
            keys = Counter(one["key"] for one in scenes[split])
            assert 0.4 < keys["bird"] / number < 0.6
            stamps[split] = {stamp for one in scenes[split] for stamp in one["stamps"]}
            photos[split] = {one["background"] for one in scenes[split]}
        for pictures in (stamps, photos):
            assert not pictures["train"] & (pictures["dev"] | pictures["test"])
            assert not pictures["dev"] & pictures["test"]
        for one in scenes["test"][:20]:
            maps = [
                np.asarray(
                    Image.open(context_scenes / place / part / "test" / f"{one['name']}.png")
                )
                for part in ("semantic", "context")
            ]
            key = 1 + script.KEYS.index(one["key"])
            assert set(np.unique(maps[0])) == {0, key, key + 2}
            np.testing.assert_array_equal(maps[1], np.where(maps[0] >= 3, maps[0], 255))
