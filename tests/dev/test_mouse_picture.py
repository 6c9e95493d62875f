"""The README's picture of landmarks: truth above, what a model finds below, frames in order."""

from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS
from PIL import Image

from dev.demo import mouse as picture
from mmext.engine.config import load_config
from mmext.prepare import mouse as data
from tests.cli.test_demo_landmarks import CONFIG


def test_truth_is_above_and_predictions_below(mouse: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(picture, "SHOWN", 2)
    (tmp_path / "a.py").write_text(CONFIG)
    model = MODELS.build(load_config(str(tmp_path / "a.py")).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / "a.pth")
    words = [str(tmp_path / "a.py"), str(tmp_path / "a.pth"), "--root", str(mouse)]
    # nothing is that sure, so nothing is drawn
    picture.main([*words, "--out", str(tmp_path / "a.png"), "--score-thr", "1e9"])
    made = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
    side, step = picture.SIDE, picture.SIDE + picture.GAP
    down = (made.shape[0] + picture.GAP) // 3
    assert made.shape[1] == 2 * step - picture.GAP
    marked, plain = made[: down - picture.GAP, :side], made[down : 2 * down - picture.GAP, :side]
    assert np.ptp(plain, axis=2).max() == 0  # grey as it was
    assert (np.ptp(marked, axis=2) > 60).any()  # coloured dots
    assert np.abs(marked - plain).mean() < 20  # of the same frame
    name = data.read_split(mouse, "test_20")["images"][0]["file_name"]
    frame = Image.open(mouse / "images" / name).convert("RGB").resize((side, len(plain)))
    assert np.abs(plain - np.asarray(frame).astype(int)).mean() < 4
