"""Each repair in a fresh process: its effect, undo, switched off, and not needed."""

from pathlib import Path

import pytest

from tests.fresh_process import BLOCK, run, run_from_nothing

TOY = """
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
import numpy as np

class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(2, 1)
    def forward(self, x, mode):
        return dict(loss=self.fc(x).square().mean()) if mode == "loss" else [self.fc(x)]

class Half(BaseMetric):
    default_prefix = "toy"
    def process(self, batch, samples):
        self.results.append(1)
    def compute_metrics(self, results):
        # becomes the best score, a numpy scalar in the message hub
        return dict(acc=np.float64(0.5))

def loader():
    return dict(batch_size=2, dataset=[torch.ones(2) * i for i in range(4)],
                collate_fn=lambda batch: dict(x=torch.stack(batch)),
                sampler=dict(type="DefaultSampler", shuffle=False))

def runner(work_dir, epochs, **more):
    return Runner(
        model=Toy(), work_dir=work_dir, train_dataloader=loader(), val_dataloader=loader(),
        val_evaluator=[Half()], val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1)),
        param_scheduler=[dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=3),
                         dict(type="CosineAnnealingLR", T_max=4)],
        train_cfg=dict(by_epoch=True, max_epochs=epochs), custom_hooks=[dict(type="EMAHook")],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="toy/acc")), **more)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real checkpoint: two epochs with optimizer, schedulers, EMA, message hub and best score."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.py").write_text(TOY)
    run("import toy; toy.runner('wd', 2).train()", cwd=folder)
    return folder / "wd" / "epoch_2.pth"


def test_import_needs_no_torch_no_numpy_and_no_host(tmp_path: Path) -> None:
    run_from_nothing(
        BLOCK
        + """
sys.meta_path.insert(0, Block("torch", "numpy", "mmengine", "mmcv", "mmdet", "mmseg", "mmaction"))
import mmext
assert mmext.__version__
assert set(mmext.compat.state().values()) == {"waiting"}
assert not any(repair.needed() for repair in mmext.compat.REPAIRS)
mmext.compat.undo()
""",
        cwd=tmp_path,
    )


def test_import_loads_neither_torch_nor_a_host_and_is_idempotent(tmp_path: Path) -> None:
    run_from_nothing(
        """
        import sys
        import mmext
        large = {"torch", "numpy", "mmengine", "mmcv", "mmdet", "mmseg", "mmaction"}
        assert not large & set(sys.modules)
        finders = len(sys.meta_path)
        mmext.compat.repair()
        assert len(sys.meta_path) == finders
        mmext.compat.undo()
        assert len(sys.meta_path) == finders - 1 and mmext.compat.state() == {}
        """,
        cwd=tmp_path,
    )


def test_drn_and_numpy_repairs_make_mmaction_importable(tmp_path: Path) -> None:
    run(
        """
        import mmext, sys
        import mmaction.models, numpy
        state = mmext.compat.state()
        assert state["mmaction_drn"] == "applied", state
        from mmaction.models.localizers import DRN
        try:
            DRN()
        except NotImplementedError as error:
            assert "source tree" in str(error)
        else:
            raise AssertionError("the stand-in must not pretend to work")
        assert numpy.in1d([[1, 2], [3, 2]], [2]).tolist() == [False, True, False, True]
        assert numpy.trapz([0.0, 1.0, 0.0]) == 1.0
        assert numpy.Inf == float("inf") and numpy.long(3) == 3
        had = {name: hasattr(numpy, name) for name in ("float", "Inf", "in1d", "trapz")}
        mmext.compat.undo()
        assert "mmaction.models.localizers.drn" not in sys.modules
        if state["numpy_names"] == "applied":
            assert all(had.values()) and not hasattr(numpy, "float")
        mmext.compat.repair()
        again = mmext.compat.state()
        assert again["mmaction_drn"] == "applied" and again["numpy_names"] == state["numpy_names"]
        """,
        cwd=tmp_path,
    )


def test_without_the_drn_repair_mmaction_fails(tmp_path: Path) -> None:
    out = run(
        """
        import mmext
        try:
            import mmaction.models
        except ModuleNotFoundError as error:
            print(error, mmext.compat.state())
        import numpy
        """,
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_drn",
    )
    assert "mmaction.models.localizers.drn" in out
    assert "'mmaction_drn': 'switched off'" in out


def test_drn_repair_stays_away_from_a_complete_mmaction(tmp_path: Path) -> None:
    drn = tmp_path / "mmaction" / "models" / "localizers" / "drn"
    drn.mkdir(parents=True)
    for folder in (tmp_path / "mmaction", tmp_path / "mmaction" / "models", drn.parent):
        (folder / "__init__.py").touch()
    (drn / "drn.py").write_text("class DRN: real = True\n")
    run(
        """
        import mmext
        from mmaction.models.localizers.drn.drn import DRN
        assert DRN.real and mmext.compat.state()["mmaction_drn"] == "not needed"
        """,
        cwd=tmp_path,
    )


def test_numpy_names_that_exist_are_left_alone(tmp_path: Path) -> None:
    run(
        """
        import numpy
        numpy.Inf = mine = object()
        import mmext.compat as compat
        repair = next(one for one in compat.REPAIRS if one.name == "numpy_names")
        repair.apply()
        assert numpy.Inf is mine
        repair.undo()
        assert numpy.Inf is mine
        for name in ("float", "long", "Inf", "in1d", "trapz"):
            if not hasattr(numpy, name):
                setattr(numpy, name, mine)
        assert not repair.needed()
        """,
        cwd=tmp_path,
    )


@pytest.mark.parametrize(
    "first", ["import mmext, toy", "import toy, mmext", "import torch, mmext, toy"]
)
def test_runner_resumes_in_any_order_of_imports(checkpoint: Path, first: str) -> None:
    out = run(
        f"""
        {first}
        runner = toy.runner("wd", 3, resume=True, load_from={str(checkpoint)!r})
        runner.train()
        print("reached", runner.iter, runner.epoch)
        buffer = runner.message_hub.get_scalar("train/loss")
        assert len(buffer.data[0]) == 6 and buffer.min() <= buffer.mean()
        """,
        cwd=checkpoint.parents[1],
    )
    assert "reached 6 3" in out


def test_the_history_is_refused_without_the_repair_and_after_undo(checkpoint: Path) -> None:
    code = f"""
        import pickle, mmext, torch
        from mmengine.runner.checkpoint import _load_checkpoint
        {{}}
        try:
            torch.load({str(checkpoint)!r}, weights_only=True)
        except pickle.UnpicklingError as error:
            print("refused", "HistoryBuffer" in str(error))
    """
    undone = (
        f"assert _load_checkpoint({str(checkpoint)!r})['meta']['iter'] == 4; mmext.compat.undo()"
    )
    assert "refused True" in run(code.format(undone), cwd=checkpoint.parent)
    for switch in ("off", "resume_weights_only"):
        assert "refused True" in run(code.format(""), cwd=checkpoint.parent, MMEXT_COMPAT=switch)


def test_poisoned_checkpoints_are_still_refused_and_run_nothing(checkpoint: Path) -> None:
    run(
        """
        import os
        import torch, mmext
        from mmengine.logging import HistoryBuffer
        from mmext.compat.trust import UntrustedFileError
        from mmengine.runner.checkpoint import _load_checkpoint
        assert mmext.compat.state()["resume_weights_only"] == "applied"

        class Calls:
            def __init__(self, function, *args):
                self.args = (function, args)
            def __reduce__(self):
                return self.args

        poisons = [
            Calls(os.system, "touch canary"),
            Calls(getattr, Calls(__import__, "os"), "system"),
            Calls(getattr, HistoryBuffer, "__init__"),
            Calls(getattr, HistoryBuffer, "register_statistics"),
            Calls(exec, "open('canary', 'w')"),
        ]
        for poison in poisons:
            torch.save(dict(state_dict={}, meta=poison), "poisoned.pth")
            try:
                _load_checkpoint("poisoned.pth")
            except UntrustedFileError:
                pass
            else:
                raise AssertionError(f"loaded {poison.args}")
        assert not os.path.exists("canary")
        """,
        cwd=checkpoint.parent,
    )


def test_undo_keeps_what_others_allowed(tmp_path: Path) -> None:
    run(
        """
        import numpy, torch
        from torch.serialization import add_safe_globals, get_safe_globals
        class Mine: pass
        add_safe_globals([numpy.ndarray, Mine])
        import mmext, mmengine.runner
        from mmengine.logging import HistoryBuffer
        before = set(get_safe_globals())
        assert HistoryBuffer in before
        mmext.compat.undo()
        after = set(get_safe_globals())
        assert {numpy.ndarray, Mine} <= after < before
        modules = [one.__module__ for one in after]
        assert not [one for one in modules if "mmengine" in one or "numpy.dtypes" in one]
        """,
        cwd=tmp_path,
    )


def test_a_misspelt_switch_is_named(tmp_path: Path) -> None:
    out = run("import mmext; print(mmext.compat.state())", cwd=tmp_path, MMEXT_COMPAT="numpy_name")
    assert "numpy_name, which is no repair" in out
    assert "switched off" not in out


ONE_THRESHOLD = """
import json
import torch
import mmext
from mmdet.evaluation import CocoMetric

truth = dict(
    images=[dict(id=1, file_name="a.jpg", width=200, height=200)],
    categories=[dict(id=1, name="thing")],
    annotations=[
        dict(id=n, image_id=1, category_id=1, bbox=[90 * n, 0, 80, 80], area=6400, iscrowd=0)
        for n in range(1, 3)
    ],
)
json.dump(truth, open("truth.json", "w"))

def average_precision(iou_thrs):
    metric = CocoMetric(
        ann_file="truth.json", metric="bbox", iou_thrs=iou_thrs, metric_items=["mAP"]
    )
    metric.dataset_meta = dict(classes=("thing",))
    # The first box is exact, the second one overlaps by 64 of 80 pixels and so has an IoU of 0.8.
    boxes = torch.tensor([[90.0, 0, 170, 80], [180, 0, 244, 80]])
    found = dict(bboxes=boxes, scores=torch.tensor([0.9, 0.8]), labels=torch.tensor([0, 0]))
    metric.process({}, [dict(img_id=1, ori_shape=(200, 200), pred_instances=found)])
    return metric.evaluate(1)["coco/bbox_mAP"]
"""


def test_coco_metric_takes_a_list_of_thresholds(tmp_path: Path) -> None:
    run(
        ONE_THRESHOLD
        + """
# Recall 0.5 at precision 1: 51 of the 101 points of the curve.
assert average_precision([0.9]) == 0.505
assert average_precision([0.7]) == 1.0
assert average_precision([0.7, 0.9]) == 0.752
before = average_precision(None)
mmext.compat.undo()
assert average_precision(None) == before
""",
        cwd=tmp_path,
    )


def test_coco_metric_refuses_a_list_without_the_repair(tmp_path: Path) -> None:
    run(
        ONE_THRESHOLD
        + """
state = mmext.compat.state()
assert state["coco_iou_thresholds"] == "applied", "this numpy needs no repair: remove it"
mmext.compat.undo()
try:
    average_precision([0.9])
except ValueError as error:
    assert "0d" in str(error)
else:
    raise AssertionError("the host no longer has the trouble: remove the repair")
""",
        cwd=tmp_path,
    )


ROI_ALIGN = """
import torch
import mmext
import mmdet.models
from mmcv.ops import RoIAlign
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator

generators = [AnchorGenerator([8], ratios=[1.0], scales=[5.0]), MlvlPointGenerator([8])]

def positions(dtype):
    return [one.grid_priors([(200, 2)], dtype=dtype, device="cpu")[0] for one in generators]

torch.manual_seed(0)
maps = torch.randn(1, 2, 8, 8).bfloat16().requires_grad_()
rois = torch.tensor([[0, 1, 1, 6, 5], [0, 0, 2, 7, 7]]).bfloat16()
align = RoIAlign(output_size=3, sampling_ratio=2)
"""


def test_roi_align_takes_bfloat16_and_anchors_stay_exact(tmp_path: Path) -> None:
    run(
        ROI_ALIGN
        + """
out = align(maps, rois)
assert out.dtype == torch.bfloat16
plain = align(maps.detach().float(), rois.float())
assert plain.dtype == torch.float32 and torch.equal(out, plain.bfloat16())
out.sum().backward()
assert maps.grad.dtype == torch.bfloat16 and maps.grad.abs().sum() > 0
exact = positions(torch.float32)
for one, expected in zip(positions(torch.bfloat16), exact):
    assert one.dtype == torch.float32 and torch.equal(one, expected)
mmext.compat.undo()
assert torch.equal(align(maps.detach().float(), rois.float()), plain)
for one, expected in zip(positions(torch.bfloat16), exact):
    assert one.dtype == torch.bfloat16
    error = (one.float() - expected).abs().max()
    assert error == 4, "off by up to half of bfloat16's step of 8 there"
""",
        cwd=tmp_path,
    )


def test_a_map_becomes_float32_once_for_all_heads_and_stages() -> None:
    import gc
    import weakref

    import torch

    from mmext.compat import bfloat16

    copies = []

    def plain(layer, input, rois):
        copies.append(input)
        return input * rois

    align = bfloat16.align_in_float32(plain)
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    (align(None, x, torch.tensor(2.0)) + align(None, x, torch.tensor(3.0))).sum().backward()
    assert copies[0] is copies[1]
    assert x.grad.tolist() == [5, 5]
    with torch.no_grad():
        align(None, x, torch.tensor(2.0))
        assert not copies[2].requires_grad, "a copy with a graph would keep it"
        x += 1
        assert align(None, x, torch.tensor(2.0)).tolist() == [4, 4], "a change shows"
    kept = weakref.ref(copies[-1])
    del x, copies[:]
    gc.collect()
    assert kept() is None, "the copy goes with its map"


def test_mmcvs_roi_align_refuses_bfloat16_without_the_repair(tmp_path: Path) -> None:
    run(
        ROI_ALIGN
        + """
import mmcv._ext
assert mmext.compat.state()["two_stage_bfloat16"] == "applied"
mmext.compat.undo()
try:
    align(maps, rois)
except (RuntimeError, NotImplementedError) as error:
    assert "BFloat16" in str(error), error
else:
    ours = mmcv._ext.__file__.endswith("mmext/ops/extension.py")
    assert ours, "mmcv no longer has the trouble: remove the repair"
""",
        cwd=tmp_path,
    )


SYNC_BN = """
import os
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import mmext
import mmengine.model

def outputs(rank, world, repaired):
    store = f"file://{os.getcwd()}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    if not repaired:
        mmext.compat.undo()
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 4) + rank
    sync, plain = torch.nn.SyncBatchNorm(3), torch.nn.BatchNorm2d(3)
    try:
        for _ in range(2):
            torch.testing.assert_close(sync(x), plain(x))
        torch.testing.assert_close(sync.state_dict(), plain.state_dict())
    except ValueError as error:
        print("REFUSED" if "GPU" in str(error) else error)
    dist.destroy_process_group()
"""
TWO_RANKS = """
from sync import *
if __name__ == "__main__":
    mp.spawn(outputs, args=({world}, {repaired}), nprocs={world})
"""


def run_sync_bn(folder: Path, *, world: int = 2, repaired: bool = True, **env: str) -> str:
    (folder / "sync.py").write_text(SYNC_BN)
    (folder / "ranks.py").write_text(TWO_RANKS.format(world=world, repaired=repaired))
    code = "import runpy; runpy.run_path('ranks.py', run_name='__main__')"
    return run_from_nothing(code, cwd=folder, **env)  # it starts processes of its own


def test_sync_bn_on_cpus_takes_each_ranks_own_statistics_and_says_so_once(tmp_path: Path) -> None:
    out = run_sync_bn(tmp_path)
    assert out.count("SyncBN on a CPU") == 2, "once a process"
    assert "REFUSED" not in out


def test_sync_bn_is_refused_on_cpus_without_the_repair(tmp_path: Path) -> None:
    assert "REFUSED" in run_sync_bn(tmp_path, repaired=False), (
        "torch takes CPUs now: remove the repair"
    )


def test_the_repair_of_sync_bn_can_be_switched_off(tmp_path: Path) -> None:
    assert "REFUSED" in run_sync_bn(tmp_path, MMEXT_COMPAT="sync_bn_on_cpu")


# find_spec says None for a package that is not there; an error would be something else.
HIDE = """
import importlib.util, sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = (
    lambda name, *rest: None if name == "importlib_metadata" else find(name, *rest)
)
"""


def test_mmaction_is_imported_without_importlib_metadata(tmp_path: Path) -> None:
    run(
        HIDE
        + """
import mmext
import mmaction.utils.dependency
import importlib.metadata
assert mmext.compat.state()["mmaction_metadata"] == "applied"
assert sys.modules["importlib_metadata"] is importlib.metadata
mmext.compat.undo()
assert "importlib_metadata" not in sys.modules
""",
        cwd=tmp_path,
    )
    out = run(
        HIDE
        + """
import mmext
try:
    import mmaction.utils.dependency
except ModuleNotFoundError as error:
    print("refused:", error)
""",
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_metadata",
    )
    assert "refused: No module named 'importlib_metadata'" in out


def test_an_installed_importlib_metadata_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "importlib_metadata.py").write_text("mine = True")
    run(
        """
        import mmext
        from mmext.compat.mmaction import MmactionMetadata
        import importlib_metadata
        assert importlib_metadata.mine and not MmactionMetadata().needed()
        """,
        cwd=tmp_path,
    )


FORK = """
import mmcv
mmcv.__version__ = "2.3.6"  # as the maintained fork says
import mmext
"""


def test_mmaction_accepts_the_forks_mmcv_and_leaves_its_version(tmp_path: Path) -> None:
    out = run(
        FORK
        + """
import mmaction
assert mmcv.__version__ == "2.3.6"
assert mmext.compat.state()["mmaction_mmcv"] == "applied"
mmext.compat.undo()
assert mmcv.__version__ == "2.3.6"
""",
        cwd=tmp_path,
    )
    assert "Error" not in out


def test_without_the_repair_mmaction_refuses_the_forks_mmcv(tmp_path: Path) -> None:
    out = run(
        FORK
        + """
try:
    import mmaction
except AssertionError as error:
    print(error)
""",
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_mmcv",
    )
    assert "MMCV==2.3.6 is used but incompatible" in out


def test_a_failing_import_leaves_the_version_too(tmp_path: Path) -> None:
    (tmp_path / "mmaction").mkdir()
    (tmp_path / "mmaction" / "__init__.py").write_text(
        "import mmcv; print('saw', mmcv.__version__); 1 / 0"
    )
    out = run(
        FORK
        + """
try:
    import mmaction
except ZeroDivisionError:
    assert mmcv.__version__ == "2.3.6"
""",
        cwd=tmp_path,
    )
    assert "saw 2.1.0" in out


VIEWS = """
import torch
import mmext
from mmaction.models import Recognizer2D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

torch.manual_seed(0)
model = MODELS.build(dict(
    _scope_="mmaction", type="Recognizer2D",
    backbone=dict(type="mmaction.ResNet", depth=18),
    cls_head=dict(type="mmaction.TSNHead", num_classes=3, in_channels=512, average_clips="prob"),
    test_cfg=dict(max_testing_views=4))).eval()
clip = torch.randn(1, 8, 3, 32, 32)
predict = lambda: model(clip, [ActionDataSample()], mode="predict")[0].pred_score
"""


def test_max_testing_views_works_with_the_hosts_own_backbone(tmp_path: Path) -> None:
    run(
        VIEWS
        + """
assert mmext.compat.state()["mmaction_testing_views"] == "applied"
with torch.no_grad():
    in_goes = predict()
    model.test_cfg = None
    torch.testing.assert_close(in_goes, predict())
""",
        cwd=tmp_path,
    )
    out = run(
        VIEWS.replace("import mmext", "import mmext; mmext.compat.state()")
        + """
try:
    predict()
except AttributeError as error:
    print("refused:", error)
""",
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_testing_views",
    )
    assert "refused: 'ResNet' object has no attribute 'get'" in out


def test_max_testing_views_is_mended_late_and_undone(tmp_path: Path) -> None:
    run(
        """
        import os
        import mmext
        from mmaction.models import Recognizer2D
        assert mmext.compat.state()["mmaction_testing_views"] == "switched off"
        host = Recognizer2D.extract_feat
        del os.environ["MMEXT_COMPAT"]
        mmext.compat.repair()
        assert Recognizer2D.extract_feat is not host
        mmext.compat.undo()
        assert Recognizer2D.extract_feat is host
        """,
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_testing_views",
    )


def with_transformers(folder: Path, modeling: str) -> None:
    """A package of that name, of version 5, whose modeling_utils reads so."""
    (folder / "transformers").mkdir()
    (folder / "transformers" / "__init__.py").touch()
    (folder / "transformers" / "modeling_utils.py").write_text(modeling)
    (folder / "transformers-5.0.0.dist-info").mkdir()
    (folder / "transformers-5.0.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: transformers\nVersion: 5.0.0\n"
    )


def test_mmaction_is_imported_beside_a_transformers_that_is_too_new(tmp_path: Path) -> None:
    with_transformers(tmp_path, "class PreTrainedModel: pass\n")
    script = """
import sys
sys.path.insert(0, ".")
import mmext
from mmaction.registry import MODELS
import mmaction.models
assert mmaction.utils.dependency.WITH_MULTIMODAL is False
assert mmext.compat.state()["mmaction_transformers"] == "applied"
assert MODELS.get("mmaction.ResNet") is mmaction.models.ResNet
try:
    MODELS.build(dict(type="mmaction.VindLUVQA"))
except Exception as error:
    assert "transformers" in str(error) or "multimodal" in str(error), error
else:
    raise AssertionError("VindLU without transformers")
"""
    run(script, cwd=tmp_path)
    out = run(
        """
import sys
sys.path.insert(0, ".")
import mmext
try:
    import mmaction.models
except ImportError as error:
    print("refused:", error)
""",
        cwd=tmp_path,
        MMEXT_COMPAT="mmaction_transformers",
    )
    assert "refused: No module named 'transformers." in out or "cannot import name" in out


def test_a_transformers_that_suits_is_left_to_mmaction(tmp_path: Path) -> None:
    with_transformers(tmp_path, "from .pytorch_utils import apply_chunking_to_forward\n")
    run(
        """
import sys
sys.path.insert(0, ".")
import mmext
from mmaction.utils import dependency
assert dependency.WITH_MULTIMODAL is True
assert mmext.compat.state()["mmaction_transformers"] == "not needed"
""",
        cwd=tmp_path,
    )


NMS_PRE = """
import sys
import torch

def kept(where):
    find = getattr(sys.modules[where], "filter_scores_and_topk")
    given = torch.tensor([[0.9, 0.0], [0.2, 0.4], [0.1, 0.3]])
    scores, labels, at, rows = find(given, 0.05, -1, torch.arange(3))
    return scores.tolist(), rows.tolist()

USERS = "mmdet.models.utils", "mmdet.models.utils.misc", "mmdet.models.dense_heads.base_dense_head"
ALL = 5
"""


@pytest.mark.parametrize("first", ["mmext", "mmdet.models"])
def test_nms_pre_of_minus_one_keeps_all_candidates(tmp_path: Path, first: str) -> None:
    run(
        f"import {first}\nimport mmext, mmdet.models\n"
        + NMS_PRE
        + """
state = mmext.compat.state()
assert state["mmdet_nms_pre"] == "applied", "mmdet needs no repair any more: remove it"
import mmext.detection.gfl.distribution
for where in (*USERS, "mmext.detection.gfl.distribution"):
    scores, rows = kept(where)
    assert len(scores) == ALL and rows == [0, 1, 2, 1, 2], (where, scores, rows)
mmext.compat.undo()
for where in (*USERS, "mmext.detection.gfl.distribution"):
    assert len(kept(where)[0]) == ALL - 1, where
""",
        cwd=tmp_path,
    )


@pytest.mark.parametrize(
    "mode",
    ["torch.device('meta')", "torch._subclasses.FakeTensorMode()", "torch.inference_mode()"],
    ids=["meta", "fake", "inference"],
)
def test_nms_pre_is_repaired_whatever_mode_mmdet_is_imported_in(tmp_path: Path, mode: str) -> None:
    run(
        f"import mmext, torch\nwith {mode}:\n    import mmdet.models.utils.misc\n"
        + NMS_PRE
        + """
assert mmext.compat.state()["mmdet_nms_pre"] == "applied", mmext.compat.state()
assert len(kept(USERS[1])[0]) == ALL
""",
        cwd=tmp_path,
    )


def test_recalls_of_images_with_different_numbers_of_boxes(tmp_path: Path) -> None:
    run(
        """
import mmext, numpy as np
from mmdet.evaluation.functional import eval_recalls
box = lambda *corners: np.array(corners, dtype=np.float32)
truths = [box([0, 0, 10, 10]), box([0, 0, 10, 10], [20, 20, 30, 30]), np.zeros((0, 4), np.float32)]
found = [
    box([0, 0, 10, 10, 0.9], [50, 50, 60, 60, 0.8]),
    box([0, 0, 10, 10, 0.9], [20, 20, 30, 26, 0.8], [70, 70, 80, 80, 0.1]),
    box([0, 0, 5, 5, 0.5]),
]
# At one box an image two of three truths are found; at three all are, one with an IoU of 0.6.
recalls = eval_recalls(truths, found, [1, 3], [0.5, 0.7], logger="silent")
assert np.allclose(recalls, [[2 / 3, 2 / 3], [1, 2 / 3]]), recalls
assert mmext.compat.state()["mmdet_recalls"] == "applied", "numpy collects them: remove it"
mmext.compat.undo()
try:
    eval_recalls(truths, found, [1, 3], [0.5, 0.7], logger="silent")
except ValueError:
    pass
else:
    raise AssertionError("mmdet needs no repair any more: remove it")
""",
        cwd=tmp_path,
    )


def test_a_clip_takes_its_frames_without_writing_them_out(tmp_path: Path) -> None:
    run(
        """
import mmext, pytest
from mmdet.structures import DetDataSample, TrackDataSample

written = []
class Frame(DetDataSample):
    def __repr__(self):
        written.append(self)
        return "frame"

first = Frame()
clip = TrackDataSample()
clip.video_data_samples = [first]
assert clip.video_data_samples == [first] and clip[0] is first
clip.video_data_samples = first
assert clip.video_data_samples == [first] and len(clip) == 1
assert "video_data_samples" in clip
assert clip.to("cpu").clone()[0] is not first
del clip.video_data_samples
assert "video_data_samples" not in clip
assert not written
for wrong in (3, [3], (first,)):
    with pytest.raises(AssertionError, match="must be a list"):
        clip.video_data_samples = wrong
assert mmext.compat.state()["mmdet_clips"] == "applied"
mmext.compat.undo()
written.clear()
clip.video_data_samples = [first]
assert written, "mmdet needs no repair any more: remove it"
""",
        cwd=tmp_path,
    )


def test_nms_pre_can_be_left_to_the_host(tmp_path: Path) -> None:
    run(
        "import mmext, mmdet.models\n"
        + NMS_PRE
        + """
assert mmext.compat.state()["mmdet_nms_pre"] == "switched off"
assert len(kept(USERS[-1])[0]) == ALL - 1
""",
        cwd=tmp_path,
        MMEXT_COMPAT="mmdet_nms_pre",
    )
