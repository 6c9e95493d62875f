"""From predictions to a bank: scores, fallback, filters; and labels in the original pictures."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mmext.landmarks.ts3 import labelling, scores
from mmext.landmarks.ts3.labelling import Labelling, Predicted
from mmext.registry import DATASETS
from tests.landmarks.ts3 import faces, rig


def some(count=6, seed=0, **changes):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.random(shape).astype(np.float32)

    return Predicted(
        **dict(
            points=draw(count, 2, 4, 2) * 64,
            peaks=draw(count, 2, 4),
            quality=draw(count, 2),
            apart=draw(count, 4) / 20,
            error=rng.random((count, 2)),
        )
        | changes
    )


NAMES = [f"{n}.png" for n in range(6)]


def test_soft_weights_are_those_of_the_formula_times_the_score():
    found = some()
    bank = Labelling(reach=0.05).bank(NAMES, found, 1)
    for n in range(6):
        for s in range(2):
            for k in range(4):
                weight = np.exp(-found.apart[n, k] / 0.05) * found.peaks[n, s, k]
                assert bank.weights[n, s, k] == pytest.approx(weight * bank.score[n, s], rel=1e-5)
    assert bank.accepted.all()
    assert not bank.fallback


def test_the_score_mixes_the_signals_that_are_named():
    found = some()
    bank = Labelling(score_mix=("peak",)).bank(NAMES, found, 1)
    ranked = scores.ranks(torch.from_numpy(found.peaks.mean(-1)).flatten())
    assert_close(torch.from_numpy(bank.score).flatten(), ranked)


@pytest.mark.parametrize("quality", [0.3, np.nan])
def test_a_constant_or_broken_teacher_gives_way_to_agreement(quality, monkeypatch):
    said = []
    monkeypatch.setattr(labelling, "print_log", lambda text, **_: said.append(text))
    found = some(quality=np.full((6, 2), quality, np.float32))
    bank = Labelling().bank(NAMES, found, 1)
    alone = Labelling(score_mix=("agreement",)).bank(NAMES, found, 1)
    assert bank.fallback
    assert (bank.score == alone.score).all()
    assert len(said) == 1
    assert "scored by the students' agreement" in said[0]
    Labelling(score_mix=("peak",)).bank(NAMES, found, 1)
    assert len(said) == 1, "a teacher that is not asked may be what it likes"


def test_of_the_hard_filters_round_the_best_are_accepted():
    found = some(quality=np.arange(12, dtype=np.float32).reshape(6, 2))
    bank = Labelling(filter="hard", score_mix=("teacher",)).bank(NAMES, found, 2)
    assert bank.accepted.sum(0).tolist() == [3, 3]  # ceil(6 * 0.4)
    assert bank.accepted[3:].all()
    assert set(np.unique(bank.weights)) == {0, 1}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [(dict(filter="middle"), "filter must be one of"), (dict(reach=0.0), "reach must be above 0")],
)
def test_what_cannot_be_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Labelling(**wrong)


def test_labels_are_in_pixels_of_the_pictures_in_the_order_of_the_data_set(tmp_path):
    rig.write_faces(tmp_path)
    config = rig.loader(tmp_path, "unlabeled", chance=False)["dataset"]
    config["pipeline"][1] = dict(type="mmext.FaceCrop", size=faces.SIDE, margin=0.5)
    dataset = DATASETS.build(config)
    model = faces.model()
    found = labelling.predicted(model, dataset, batch_size=2)
    assert model.training
    assert len(found.points) == len(dataset) == rig.HIDDEN
    model.eval()
    for row in range(len(dataset)):
        item = dataset[row]
        data = model.data_preprocessor(
            dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]]), False
        )
        (own,) = model.student_a(data["inputs"], data["data_samples"], mode="predict")
        assert_close(found.points[row, 0], own.pred_keypoints.detach().numpy(), atol=1e-3, rtol=0)
        assert_close(found.peaks[row, 0], own.pred_scores.detach().numpy(), atol=1e-5, rtol=1e-5)
        # the crop is half as large again as the picture, so distances shrink by a third
        truth = item["data_samples"].keypoints
        error = np.linalg.norm(found.points[row, 0] - truth, axis=-1).mean() / 1.5 / faces.SIDE
        assert found.error[row, 0] == pytest.approx(error, rel=1e-4)


def test_a_picture_without_hidden_labels_has_no_error(tmp_path):
    rig.write_faces(tmp_path)
    dataset = DATASETS.build(rig.loader(tmp_path, "unlabeled", chance=False)["dataset"])
    item = dataset[0]
    item["data_samples"].set_metainfo(dict(keypoints_visible=np.zeros(faces.K)))
    found = labelling._hidden_errors(
        np.zeros((1, 2, faces.K, 2)), [item["data_samples"]], float(faces.SIDE)
    )
    assert np.isnan(found).all()
