"""From command line to Runner: what ``mmext train`` and ``mmext test`` share.

Host     mmengine; flags are the union of mmdet's, mmseg's and mmaction2's own tools
Flags    what differs between the hosts (where pictures and predictions go) is chosen by
         ``default_scope``
Ranks    NCCL where CUDA is, as in the hosts; gloo on CPUs, where mmengine's own launcher fails
         since it selects a CUDA device, and its wrapper since it passes device ids
"""

import argparse
import copy
import datetime
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmext.data_checks import verify
from mmext.engine import amp, checkpoint, ranks, start
from mmext.engine.config import check_types
from mmext.errors import BadInputError

logger = logging.getLogger("mmext")

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that training and testing share."""
    one = argparse.ArgumentParser(description=description)
    one.add_argument("config", help="config file")
    one.add_argument(
        "--work-dir", help="where logs and checkpoints go (default: work_dirs/<config's name>)"
    )
    one.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help=(
            'settings that override the config, as key=value; lists as key="[a,b]", without spaces'
        ),
    )
    one.add_argument("--launcher", choices=LAUNCHERS, default="none", help="who starts the ranks")
    one.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by old launchers"
    )
    one.add_argument(
        "--no-verify", action="store_true", help="do not look at data and weights before the run"
    )
    return one


def run(command: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> None:
    """Run a command; bad input ends it with one sentence and status 1 instead of a traceback."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        command(args)
    except BadInputError as error:
        sys.exit(f"error: {error}" if ranks.rank() == 0 else 1)
    ranks.leave()


def configure(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the shared flags."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    cfg.launcher = args.launcher
    cfg.work_dir = (
        args.work_dir or cfg.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    )


def configure_training(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the flags of ``mmext train``."""
    configure(cfg, args)
    if args.amp or args.amp_dtype:
        amp.use(cfg, args.amp_dtype)
    if args.auto_scale_lr:
        if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
            raise BadInputError(
                f"{cfg.filename}: --auto-scale-lr expected auto_scale_lr=dict(base_batch_size=...) "
                "there, got none; add the batch size that its lr is for"
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        start.resume(cfg, args.resume, first_rank=ranks.rank() == 0)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    chosen = {
        "seed": args.seed,
        "diff_rank_seed": args.diff_rank_seed,
        "deterministic": args.deterministic,
    }
    chosen = {
        key: value for key, value in chosen.items() if value is not None and value is not False
    }
    if chosen:
        cfg.randomness = {**(cfg.get("randomness") or {}), **chosen}


def configure_testing(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the flags of ``mmext test``."""
    configure(cfg, args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        show(cfg, args)
    if args.tta:
        use_tta(cfg)
    if args.out:
        save_predictions(cfg, args.out)


def show(cfg: Config, args: argparse.Namespace) -> None:
    """Draw predictions, in a window or into a folder, in the way of the config's host."""
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if hook is None:
        raise BadInputError(
            f"{cfg.filename}: --show and --show-dir expected default_hooks.visualization there, "
            "got none; add the host's visualization hook"
        )
    hook.update(show=args.show, wait_time=args.wait_time)
    if args.interval is not None:
        hook.interval = args.interval
    if cfg.get("default_scope") == "mmaction":
        hook.update(enable=True, out_dir=args.show_dir)
    else:
        hook.draw = True
        if args.show_dir and cfg.get("default_scope") == "mmseg":
            cfg.visualizer.save_dir = args.show_dir
        elif args.show_dir:
            hook.test_out_dir = args.show_dir


def save_predictions(cfg: Config, out: str) -> None:
    """Write predictions to ``out``: a folder for segmentation, a pickle file for the others."""
    evaluator = cfg.test_evaluator
    metrics = list(evaluator) if isinstance(evaluator, list | tuple) else [evaluator]
    if cfg.get("default_scope") == "mmseg":
        for metric in metrics:
            metric.update(output_dir=out, keep_results=True)
        return
    if not out.endswith((".pkl", ".pickle")):
        raise BadInputError(
            f"--out {out}: expected a file that ends in .pkl or .pickle; choose such a name"
        )
    dump = {"mmdet": "mmdet.DumpDetResults"}.get(cfg.get("default_scope"), "DumpResults")
    cfg.test_evaluator = [*metrics, ConfigDict(type=dump, out_file_path=out)]


def use_tta(cfg: Config) -> None:
    """Augment at test time: detection flips by default, the others need ``tta_*`` in the config."""
    if cfg.get("default_scope") == "mmdet":
        cfg.setdefault("tta_model", ConfigDict(copy.deepcopy(DET_TTA)))
        if "tta_pipeline" not in cfg:
            dataset = next(verify.datasets(cfg.to_dict(), "test"))
            cfg.tta_pipeline = [*dataset["pipeline"][:-1], copy.deepcopy(DET_FLIPS)]
    missing = [key for key in ("tta_model", "tta_pipeline") if key not in cfg]
    if missing:
        raise BadInputError(
            f"{cfg.filename}: --tta expected tta_model and tta_pipeline there, got no "
            f"{' or '.join(missing)}; add them, or leave --tta out"
        )
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset = cfg.test_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline


DET_TTA = dict(
    type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
)
DET_FLIPS = dict(
    type="TestTimeAug",
    transforms=[
        [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)],
        [
            dict(
                type="PackDetInputs",
                meta_keys=(
                    "img_id",
                    "img_path",
                    "ori_shape",
                    "img_shape",
                    "scale_factor",
                    "flip",
                    "flip_direction",
                ),
            )
        ],
    ],
)


def check_inputs(cfg: Config, splits: tuple[str, ...]) -> None:
    """Check data, weights, types and the checkpoint resumed or loaded; on the first rank only.

    The other ranks wait for it, and end without a word if it fails.
    """
    if cfg.get("launcher", "none") != "none":
        ranks.name(cfg.launcher)
        ranks.meet(cfg.launcher)
    ranks.on_first_rank(lambda: _check_inputs(cfg, splits))


def _check_inputs(cfg: Config, splits: tuple[str, ...]) -> None:
    reports = verify.check(cfg.to_dict(), splits)
    for warning in (one for report in reports for one in report.warnings):
        logger.warning(warning)
    verify.refuse_errors(reports)
    check_types(cfg)  # after the data: this imports the hosts
    if file := start.file_to_check(cfg):
        (checkpoint.check_resumable if cfg.get("resume") else checkpoint.read)(file)


def build_runner(cfg: Config) -> Runner:
    """Start the ranks if a launcher asks, build the Runner, and log what carries the messages."""
    if cfg.launcher != "none":
        ranks.meet(cfg.launcher)
        if not torch.cuda.is_available():
            start_gloo(cfg)
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    start.agree(runner)
    if runner.distributed:
        backend = torch.distributed.get_backend()
        device = "CUDA" if torch.cuda.is_available() else "CPU"
        runner.logger.info(f"mmext: {runner.world_size} ranks over {backend} on {device}")
    return runner


def start_gloo(cfg: Config) -> None:
    """Initialise gloo before mmengine's launcher selects a CUDA device; wrap without device ids."""
    ranks.name(cfg.launcher)
    timeout = ((cfg.get("env_cfg") or {}).get("dist_cfg") or {}).get("timeout")
    limit = datetime.timedelta(seconds=timeout) if timeout else None
    torch.distributed.init_process_group("gloo", timeout=limit)
    wrapper = cfg.get("model_wrapper_cfg") or {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,  # the next two are mmengine's defaults
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }
    cfg.model_wrapper_cfg = {**wrapper, "device_ids": None}
