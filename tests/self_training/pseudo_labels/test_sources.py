"""MarkSource, and a batch taken apart by it."""

import pytest
import torch
from mmengine.structures import BaseDataElement

from mmext.registry import TRANSFORMS
from mmext.self_training.pseudo_labels.sources import MarkSource, rows_by_source, taken


def samples(*sources):
    return [BaseDataElement(metainfo={"source": one} if one else {}) for one in sources]


def test_it_marks_a_packed_sample():
    mark = TRANSFORMS.build(dict(type="mmext.MarkSource", source="pseudo"))
    assert type(mark) is MarkSource
    results = mark(dict(inputs=0, data_samples=BaseDataElement(metainfo={"img_id": 3})))
    assert results["data_samples"].metainfo == {"img_id": 3, "source": "pseudo"}


def test_bad_marks_are_refused():
    with pytest.raises(ValueError, match=r"got 'pseud' \(did you mean 'pseudo'\?\)"):
        MarkSource("pseud")
    with pytest.raises(ValueError, match="expected packed results with data_samples, got img"):
        MarkSource("human")({"img": 0})
    with pytest.raises(ValueError, match="expected human or pseudo, got 'teacher'"):
        rows_by_source(samples("human", "teacher"))


@pytest.mark.parametrize(
    ("sources", "rows"),
    [
        (["human", "human", "pseudo"], dict(human=slice(0, 2), pseudo=slice(2, 3))),
        (["pseudo", None, "human"], dict(human=slice(1, 3), pseudo=slice(0, 1))),
        (["human", "pseudo", "human"], dict(human=[0, 2], pseudo=slice(1, 2))),
        ([None, None], dict(human=slice(0, 2))),
        (["pseudo"], dict(pseudo=slice(0, 1))),
    ],
)
def test_rows_follow_their_source_and_no_mark_is_human(sources, rows):
    assert rows_by_source(samples(*sources)) == rows


@pytest.mark.parametrize("rows", [slice(1, 3), [0, 2]])
def test_any_kind_of_batch_is_taken_apart(rows):
    batch = torch.arange(12.0).view(4, 3)
    expected = batch[rows]
    assert torch.equal(taken(batch, rows), expected)
    assert torch.equal(torch.stack(taken(list(batch), rows)), expected)
    assert torch.equal(taken(dict(rgb=dict(img=batch)), rows)["rgb"]["img"], expected)
    shares = taken(batch, rows).untyped_storage().data_ptr() == batch.untyped_storage().data_ptr()
    assert shares == isinstance(rows, slice)
    with pytest.raises(TypeError, match="got int"):
        taken(3, rows)
