"""The demo: each task, each kind of input, and bad input, on real photographs and a real video."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.checkout import REPO, run_script, run_tool
from tests.cli.test_bad_input import run_tools, sentence

DETECTOR = REPO / "configs" / "detection" / "gfl" / "gfl_mobilenet-v2_fpn_1xb4-400i_trees.py"
SEGMENTOR = """
custom_imports = dict(imports=["mmext"])
default_scope = "mmseg"
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_val=0, seg_pad_val=255,
    ),
    backbone=dict(
        type="MobileNetV2", widen_factor=0.25, out_indices=(1, 2), norm_cfg=dict(type="SyncBN"),
        init_cfg=dict(type="Pretrained", checkpoint="nowhere.pth"),
    ),
    decode_head=dict(
        type="FCNHead", in_channels=8, in_index=1, channels=8, num_convs=1, num_classes=3,
        norm_cfg=dict(type="SyncBN"), align_corners=False,
    ),
    test_cfg=dict(mode="whole"),
)
test_dataloader = dict(
    dataset=dict(
        type="BaseSegDataset",
        metainfo=dict(
            classes=("ground", "thing", "sky"), palette=[(0, 0, 0), (255, 0, 0), (0, 0, 255)]
        ),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ],
    )
)
"""
RECOGNIZER = f"""
_base_ = {str(REPO / "configs" / "_base_" / "datasets" / "motion_action.py")!r}
custom_imports = dict(imports=["mmext"])
default_scope = "mmaction"
model = dict(
    type="Recognizer2D",
    backbone=dict(type="ResNetTSM", depth=18, pretrained=None, num_segments=8, shift_div=8),
    cls_head=dict(
        type="TSMHead", num_classes=7, in_channels=512, num_segments=8, is_shift=True,
        average_clips="prob",
    ),
    data_preprocessor=dict(
        type="ActionDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        format_shape="NCHW",
    ),
)
"""
ENV = {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}


def run_demo(*commands: list, cwd: Path) -> list[tuple]:
    """Run the demo several times in one process, since importing three hosts takes long."""
    return run_tools(*(["demo.py", *one] for one in commands), cwd=cwd)


class Models:
    """A config and a checkpoint for each task, with weights as they are drawn."""

    def __init__(self, folder: Path) -> None:
        self.configs = {
            "mmdet": DETECTOR,
            "mmseg": folder / "segmentor.py",
            "mmaction": folder / "recognizer.py",
        }
        self.configs["mmseg"].write_text(SEGMENTOR)
        self.configs["mmaction"].write_text(RECOGNIZER)
        self.checkpoints = {scope: folder / f"{scope}.pth" for scope in self.configs}

    def command(self, scope: str, *arguments: object) -> list:
        return [self.configs[scope], self.checkpoints[scope], *arguments]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    from mmengine.registry import MODELS

    from mmext.engine.config import load_config

    made = Models(tmp_path_factory.mktemp("models"))
    for scope, config in made.configs.items():
        torch.manual_seed(0)
        model = MODELS.build(load_config(str(config)).model)
        if scope == "mmseg":  # else the bias decides, and one class wins everywhere
            torch.nn.init.zeros_(model.decode_head.conv_seg.bias)
        torch.save(dict(state_dict=model.state_dict(), meta={}), made.checkpoints[scope])
    return made


@pytest.fixture
def photographs(trees: Path, tmp_path: Path) -> Path:
    """Two real photographs, small."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, file in enumerate(sorted((trees / "test").glob("*.png"))):
        with Image.open(file) as photo:
            photo.crop((0, 0, 160, 120)).save(folder / f"{number}.{('png', 'jpg')[number]}")
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"), int)


def frames(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames of a video, RGB, and how many a second."""
    video = cv2.VideoCapture(str(path))
    fps, found = video.get(cv2.CAP_PROP_FPS), []
    while (answer := video.read())[0]:
        found.append(answer[1][..., ::-1].astype(int))
    return found, fps


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in grey levels, blind to shifts by half a pixel and to fine text."""
    small = [
        cv2.resize(each.astype(np.float32), (20, 15), interpolation=cv2.INTER_AREA)
        for each in (one, other)
    ]
    return float(np.abs(small[0] - small[1]).mean())


def test_pictures_and_folders_and_videos_are_drawn_on(
    models: Models, photographs: Path, bikes: Path, tmp_path: Path
) -> None:
    one = photographs / "0.png"
    ends = run_demo(
        models.command(
            "mmdet",
            one,
            "--out",
            "boxes",
            "--score-thr",
            0,
            "--cfg-options",
            "model.test_cfg.max_per_img=3",
            "model.test_cfg.score_thr=0",
        ),
        models.command("mmdet", one, "--out", "no_boxes", "--score-thr", 1),
        models.command("mmseg", photographs, "--out", "maps"),
        models.command("mmseg", bikes, "--out", "maps", "--every", 100),
        cwd=tmp_path,
    )
    assert [code for code, _ in ends] == [0, 0, 0, 0]
    assert [text.splitlines()[-1] for _, text in ends] == [
        "boxes/0.png",
        "no_boxes/0.png",
        "maps/1.jpg",
        "maps/bikes.mp4",
    ]
    before = pixels(one)
    boxes, no_boxes = (pixels(tmp_path / name / "0.png") for name in ("boxes", "no_boxes"))
    # the config's
    yellow = [(np.abs(one - (255, 209, 0)).max(-1) < 30).mean() for one in (no_boxes, boxes)]
    assert yellow[0] < 0.001 < 0.01 < yellow[1]
    np.testing.assert_array_equal(no_boxes, before)
    said = {
        name: json.loads((tmp_path / name / "0.png.json").read_text())
        for name in ("boxes", "no_boxes")
    }
    assert said["no_boxes"] == dict(input=str(one), width=160, height=120, objects=[])
    assert len(said["boxes"]["objects"]) == 3

    assert difference(pixels(tmp_path / "maps" / "0.png"), host_colours(models, before)) < 8
    assert difference(pixels(tmp_path / "maps" / "0.png"), before) > 30
    assert pixels(tmp_path / "maps" / "1.jpg").shape == (120, 160, 3)

    whole = json.loads((tmp_path / "maps" / "0.png.json").read_text())
    assert sum(one["pixels"] for one in whole["classes"]) == 160 * 120
    assert sum(one["share"] for one in whole["classes"]) == pytest.approx(1)

    drawn, fps = frames(tmp_path / "maps" / "bikes.mp4")
    said = json.loads((tmp_path / "maps" / "bikes.mp4.json").read_text())["frames"]
    assert [one["frame"] for one in said] == [0, 100, 200]
    assert all(one["classes"] for one in said)
    originals, original_fps = frames(bikes)
    assert len(drawn) == 3
    assert fps == pytest.approx(original_fps / 100)
    for index, frame in enumerate(drawn):
        assert difference(frame, host_colours(models, originals[100 * index])) < 10


def kinds_of_pictures(photograph: Path, folder: Path) -> Path:
    """A photograph in every kind of file that people have."""
    folder.mkdir()
    with Image.open(photograph) as opened:
        photo = opened.convert("RGB")
    turned = photo.getexif()
    turned[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=turned, quality=95)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    for mode in ("L", "P", "RGBA", "1", "LA"):
        photo.convert(mode).save(folder / f"{mode}.png")
    photo.save(folder / "photo.webp", lossless=True)
    deep = np.asarray(photo, np.uint16) * 257
    cv2.imwrite(str(folder / "deep.png"), deep[..., ::-1])
    cv2.imwrite(str(folder / "deep_grey.png"), deep[..., 1])
    cv2.imwrite(str(folder / "deep_grey.tif"), deep[..., 1])
    photo.save(folder / "of_unusual_ending.jfif", format="JPEG", quality=95)
    return folder


def test_every_kind_of_picture_is_read_as_the_host_reads_it(
    models: Models, photographs: Path, tmp_path: Path
) -> None:
    import mmcv
    from mmdet.apis import inference_detector, init_detector

    folder = kinds_of_pictures(photographs / "0.png", tmp_path / "kinds")
    options = {"model.test_cfg.max_per_img": 3, "model.test_cfg.score_thr": 0}
    options["test_dataloader.dataset.pipeline.1.scale"] = (160, 120)  # a moment each
    words = [
        "--cfg-options",
        *(f"{key}={value}".replace(" ", "") for key, value in options.items()),
    ]
    ends = run_demo(
        models.command("mmdet", folder, "--out", "boxes", "--score-thr", 0, *words),
        models.command(
            "mmdet", folder / "of_unusual_ending.jfif", "--out", "boxes", "--score-thr", 0, *words
        ),
        models.command("mmdet", folder, "--out", "plain", "--score-thr", 1, *words),
        cwd=tmp_path,
    )
    assert [code for code, _ in ends] == [0, 0, 0], ends
    host = init_detector(
        str(DETECTOR), str(models.checkpoints["mmdet"]), device="cpu", cfg_options=options
    )
    for file in sorted(folder.iterdir()):
        (said,) = (
            json.loads(one.read_text()) for one in (tmp_path / "boxes").glob(f"{file.name}*.json")
        )
        theirs = inference_detector(host, str(file)).pred_instances
        ours = sorted(said["objects"], key=lambda one: -one["score"])
        assert len(ours) == 3, file.name
        np.testing.assert_allclose([one["bbox"] for one in ours], theirs.bboxes.numpy(), atol=0.02)
        np.testing.assert_allclose([one["score"] for one in ours], theirs.scores.numpy(), atol=1e-5)
        seen = mmcv.imread(str(file), channel_order="rgb").astype(int)
        assert [said["height"], said["width"]] == list(seen.shape[:2])
        drawn = tmp_path / "plain" / file.name
        if drawn.exists():
            assert np.abs(pixels(drawn) - seen).mean() < 3, file.name  # JPEG again, and no box


def test_a_video_is_one_that_a_browser_plays(models: Models, bikes: Path, tmp_path: Path) -> None:
    import av

    ((code, _),) = run_demo(
        models.command("mmseg", bikes, "--out", "out", "--every", 60), cwd=tmp_path
    )
    assert code == 0
    content = (tmp_path / "out" / "bikes.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), (
        "it must begin to play before all of it is there"
    )
    with av.open(str(tmp_path / "out" / "bikes.mp4")) as video:
        (track,) = video.streams
        assert (track.codec.name, track.pix_fmt) == ("h264", "yuv420p")
        assert len(list(video.decode(track))) == 5


def host_colours(models: Models, picture: np.ndarray) -> np.ndarray:
    """Half picture, half colours, computed from what mmseg finds in its own way."""
    from mmengine.config import Config
    from mmseg.apis import inference_model, init_model

    cfg = Config.fromfile(models.configs["mmseg"])
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    model = init_model(cfg, str(models.checkpoints["mmseg"]), device="cpu")
    found = inference_model(model, picture[..., ::-1].astype(np.uint8)).pred_sem_seg.data[0].numpy()
    assert len(np.unique(found)) > 1
    return (picture + np.array(cfg.test_dataloader.dataset.metainfo.palette)[found]) / 2


def test_a_clip_s_classes_are_written_on_its_frames_and_beside_them(
    models: Models, bikes: Path, tmp_path: Path
) -> None:
    result = run_script("data/camera_motion.py")
    assert result.returncode == 0, result.stderr
    clip = REPO / "data" / "camera_motion" / "val" / "00003"
    ends = run_demo(
        models.command("mmaction", clip, "--out", "out", "--top", 7),
        models.command("mmaction", bikes, "--out", "out", "--every", 125),
        cwd=tmp_path,
    )
    assert [code for code, _ in ends] == [0, 0]
    names = {"00003": "00003.json", "bikes": "bikes.mp4.json"}
    found = {key: json.loads((tmp_path / "out" / name).read_text()) for key, name in names.items()}
    assert [one["frames"] for one in found.values()] == [16, 250]
    scores = [one["score"] for one in found["00003"]["classes"]]
    assert sorted(scores, reverse=True) == scores
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert {one["class"] for one in found["00003"]["classes"]} >= {"rest", "pan_left", "zoom_out"}
    assert len(found["bikes"]["classes"]) == 5
    assert scores == pytest.approx(host_scores(models, clip), abs=1e-4)

    written = sorted((tmp_path / "out" / "00003").iterdir())
    assert [path.name for path in written] == [f"img_{index:05d}.jpg" for index in range(1, 17)]
    original = cv2.resize(pixels(clip / "img_00001.jpg").astype(np.uint8), (240, 240)).astype(int)
    rows = np.abs(pixels(written[0]) - original).mean((1, 2))
    assert rows[:90].min() > 5  # text and bars above
    assert rows[150:].max() < 5  # the frame itself below
    drawn, _ = frames(tmp_path / "out" / "bikes.mp4")
    assert [frame.shape for frame in drawn] == [(272, 640, 3)] * 2


def host_scores(models: Models, clip: Path) -> list[float]:
    """The scores in mmaction2's own way, from the files."""
    from mmaction.apis import inference_recognizer, init_recognizer

    model = init_recognizer(
        str(models.configs["mmaction"]), str(models.checkpoints["mmaction"]), device="cpu"
    )
    data = dict(
        frame_dir=str(clip),
        total_frames=16,
        filename_tmpl="img_{:05}.jpg",
        start_index=1,
        label=-1,
        modality="RGB",
    )
    return sorted(inference_recognizer(model, data).pred_score.tolist(), reverse=True)


class Poison:
    def __reduce__(self) -> tuple:
        return os.system, ("touch canary",)


def test_bad_input_is_refused_in_a_sentence(
    models: Models, photographs: Path, bikes: Path, tmp_path: Path
) -> None:
    cut, empty, odd = tmp_path / "cut.png", tmp_path / "empty", tmp_path / "odd"
    cut.write_bytes((photographs / "0.png").read_bytes()[:9000])
    for folder in (empty, odd):
        folder.mkdir()
    for number, size in enumerate([(40, 30), (40, 30), (30, 40)]):
        Image.new("RGB", size).save(odd / f"{number}.png")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "cut.mp4").write_bytes(bikes.read_bytes()[:300_000])
    (tmp_path / "plain.py").write_text("model = dict()\n")
    torch.save(
        dict(state_dict=dict(weight=torch.ones(3)), meta=dict(x=Poison())), tmp_path / "poison.pth"
    )
    detector, recognizer = DETECTOR, models.configs["mmaction"]
    one = photographs / "0.png"
    ends = run_demo(
        models.command("mmdet", "nowhere.png"),
        models.command("mmdet", cut),
        models.command("mmdet", empty),
        models.command("mmdet", "text.mp4"),
        models.command("mmaction", "cut.mp4"),
        models.command("mmaction", one),
        models.command("mmaction", odd),
        models.command("mmdet", one, "--out", photographs),
        models.command("mmdet", one, "--every", 0),
        [detector, models.checkpoints["mmseg"], one],
        [recognizer, "nowhere.pth", bikes],
        [detector, "poison.pth", one],
        ["nowhere.py", "nowhere.pth", one],
        ["plain.py", "nowhere.pth", one],
        models.command("mmdet", one, "--cfg-options", "model.neck.type=mmext.FPM"),
        cwd=tmp_path,
    )
    codes = [code for code, _ in ends]
    sentence(codes[0], "nowhere.png: not found")
    sentence(codes[1], "cut.png: expected a whole picture", "truncated")
    sentence(codes[2], f"{empty}: expected a folder with pictures")
    sentence(codes[3], "text.mp4: expected a video, got a file that cannot be opened")
    sentence(
        codes[4],
        "cut.mp4: expected a video, got a file that cannot be opened, as when it is cut off",
    )
    sentence(codes[5], f"{one}: expected a video or a folder of frames, got a picture")
    sentence(codes[6], f"{odd / '2.png'}: expected 40 x 30 pixels", "got 30 x 40")
    sentence(codes[7], f"{photographs}: expected another folder than the input's")
    sentence(codes[8], "--every 0", "expected 1 or more")
    sentence(codes[9], "mmseg.pth: expected the", "weights of this config's model", "--no-strict")
    sentence(codes[10], "nowhere.pth: not found, expected a checkpoint")
    sentence(codes[11], "poison.pth: refused before anything of it ran")
    sentence(codes[12], "nowhere.py: not found, expected a config")
    sentence(
        codes[13], "plain.py: expected a default_scope of mmdet, mmseg, mmaction, mmengine, got"
    )
    sentence(codes[14], "model.neck.type", "mmext.FPM")
    assert not (tmp_path / "canary").exists()
    assert not list((tmp_path / "work_dirs" / "demo").glob("*.mp4"))


def test_the_demo_runs_as_people_start_it(
    models: Models, photographs: Path, tmp_path: Path
) -> None:
    done = run_tool(
        "demo.py",
        *models.command("mmseg", photographs / "1.jpg"),
        cwd=tmp_path,
        PYTHONPATH=str(REPO),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "work_dirs/demo/1.jpg"
    done = run_tool(
        "demo.py", *models.command("mmseg", "nowhere.jpg"), cwd=tmp_path, PYTHONPATH=str(REPO)
    )
    assert done.returncode == 1
    sentence(done.stderr.strip().splitlines()[-1], "nowhere.jpg: not found")
