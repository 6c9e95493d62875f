"""COCO files that are damaged in every way that JSON allows, one place at a time."""

import copy
import json
from collections.abc import Iterator
from typing import Any

NESTED: list = []
for _ in range(60):
    NESTED = [NESTED]

VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -7,
    "fraction": 0.5,
    "huge": 10**400,
    "infinity": float("inf"),
    "nan": float("nan"),
    "empty text": "",
    "number as text": "1",
    "text": "tree\n",
    "zero byte": "a\0b",
    "half a character": "\ud800",
    "long text": "x" * 5000,
    "empty list": [],
    "list": [1, "a", None],
    "list of lists": [[1, 2], [3, 4]],
    "nested": NESTED,
    "empty object": {},
    "object": {"id": 1},
}
"""What stands in the place of each value."""


def sound() -> dict[str, Any]:
    """A file without a fault: two images, two classes, polygons, both kinds of run lengths."""
    box = dict(category_id=1, bbox=[1, 1, 4, 4], area=16, iscrowd=0)
    square = [[1, 1, 5, 1, 5, 5, 1, 5]]
    return dict(
        info={},
        images=[dict(id=one, file_name=f"{one}.png", width=10, height=8) for one in (1, 2)],
        categories=[dict(id=1, name="tree"), dict(id=2, name="car")],
        annotations=[
            dict(box, id=1, image_id=1, segmentation=square),
            dict(
                box,
                id=2,
                image_id=2,
                category_id=2,
                segmentation=dict(size=[8, 10], counts=[9, 4, 67]),
            ),
            dict(box, id=3, image_id=2, segmentation=dict(size=[8, 10], counts="94S2")),
        ],
    )


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in a file."""
    yield path
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def damaged() -> Iterator[tuple[str, Any]]:
    """Name and content of files, each with one value replaced, removed or doubled."""
    whole = sound()
    for path in places(whole):
        where = ".".join(map(str, path)) or "all"
        for name, value in VALUES.items():
            yield f"{where} is {name}", replaced(whole, path, value)
        if path:
            yield f"{where} is missing", replaced(whole, path, None, remove=True)
    for kind in ("images", "categories", "annotations"):
        yield f"{kind} are doubled", {**whole, kind: whole[kind] * 2}
        yield f"{kind} are an object", {**whole, kind: {str(one["id"]): one for one in whole[kind]}}


def replaced(whole: Any, path: tuple, value: Any, *, remove: bool = False) -> Any:
    """A copy of a file with another value in one place."""
    if not path:
        return value
    copied = copy.deepcopy(whole)
    node = copied
    for key in path[:-1]:
        node = node[key]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copied


def texts() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of files that are damaged as texts."""
    text = json.dumps(sound())
    accented = json.dumps({**sound(), "info": "Bäume"}, ensure_ascii=False)
    yield "empty", b""
    yield "zeros", bytes(100)
    yield "cut off", text[: len(text) // 2].encode()
    yield "two files", (text + text).encode()
    yield "single quotes", str(sound()).encode()
    yield "byte order mark", accented.encode("utf-8-sig")
    yield "UTF-16", accented.encode("utf-16")
    yield "UTF-16 without mark", accented.encode("utf-16-le")
    yield "UTF-32", accented.encode("utf-32")
    yield "Latin-1", accented.encode("latin-1")
    yield "a number of 5000 digits", text.replace('"width": 10', f'"width": {"1" * 5000}').encode()
    yield "a million brackets", b"[" * 1_000_000
    yield "bytes", bytes(range(256))
    yield "comment", b"// COCO\n" + text.encode()
    yield "trailing comma", text[:-1].encode() + b",}"
