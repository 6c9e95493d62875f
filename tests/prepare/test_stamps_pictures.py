"""Choice of pictures: classes by folder, no drawings, kinds kept together, clean edges."""

import io

import pytest
from PIL import Image

from mmext.prepare import stamps_pictures as choice


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("animals/mammals/cats/tiger.png", "mammal"),
        ("animals/marsupials/koala.png", "mammal"),
        ("animals/mammals/cats/cartoon/cat.png", None),
        ("animals/mammals/bears/toys/edward_bear.png", None),
        ("animals/mammals/hedgehog.png", None),
        ("animals/birds/owl.png", "bird"),
        ("animals/birds/owl.svg", None),
        ("food/vegetables/corn.png", "food"),
        ("food/pizza.png", None),
        ("plants/flowers/rose.png", "flower"),
        ("plants/trees/birch.png", None),
        ("hobbies/music/string/cello.png", "tool"),
        ("household/dishes/mug.png", None),
        ("vehicles/flight/planes/747.png", "vehicle"),
        ("military/vehicles/bradley_mirror.png", None),
    ],
)
def test_a_picture_s_folder_decides_its_class_and_drawings_have_none(name, wanted):
    assert choice.class_of(choice.STAMPS + name) == wanted
    assert choice.class_of(name) is None  # not in the package's folder


def test_pictures_of_one_kind_stay_together_and_the_share_is_kept():
    names = [
        f"{kind}{number}.png" for kind in ("ant", "bee", "cow", "dog", "elk") for number in range(4)
    ]
    for share in (0.2, 0.25, 0.5):
        val = choice.val_names(names, share)
        assert 0 < len(val) <= share * 20
        assert {name[:3] for name in val}.isdisjoint(name[:3] for name in set(names) - val)
    assert choice.val_names(reversed(names)) == choice.val_names(names)


def test_the_dashed_line_around_palette_pictures_is_taken_off():
    picture = Image.new("P", (40, 30), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0, 0, 255, 0])
    picture.paste(0, (0, 0, 40, 5))
    picture.paste(2, (0, 5, 40, 6))
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=0)
    pixels = choice.read_stamp(f"{choice.STAMPS}plants/flowers/x.png", file.getvalue()).pixels
    seen = pixels[pixels[..., 3] > 0]
    assert len(seen) > 0
    assert (seen[:, :3] == (200, 0, 0)).all()
