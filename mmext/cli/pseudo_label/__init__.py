"""Let a teacher label pictures: mmext pseudo-label CONFIG CHECKPOINT --images DIR --out DIR.

Detectors write ``pseudo.json``, a COCO file with boxes, masks if the model has them, and scores;
segmentors write ``maps/`` and ``pseudo.json`` with counts. A killed run goes on where it was when
it is started again. Train the student on the config that --config-out writes.
"""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmext.cli.pseudo_label.arguments import check_args, parse_args
from mmext.cli.pseudo_label.of_boxes import label_boxes
from mmext.cli.pseudo_label.of_maps import label_maps
from mmext.engine import launch
from mmext.engine.config import check_types, find_config, load_config
from mmext.errors import BadInputError, some
from mmext.inference import views
from mmext.inference.labelling import digest, digest_of, pictures_below
from mmext.inference.tasks import Model, build_model
from mmext.inference.teacher import classes_of
from mmext.self_training.pseudo_labels import student


def pseudo_label(args: argparse.Namespace) -> None:
    """Check, run the teacher on what is missing, judge, write labels and the student's config."""
    cfg = load_config(args.config, args.cfg_options)
    check_args(cfg, args)
    seen = views.augmented(cfg) if args.tta else None
    names = pictures_below(args.images)
    check_types(seen or cfg)
    if args.config_out:
        student.check(cfg, args.config)  # before hours of labelling
    labelled = labelled_set(cfg)
    model = build_model(cfg, args.checkpoint, device=args.device, strict=True)
    refuse_other_classes(args, classes_of(model), labelled)
    if seen:
        model = with_views(model, seen)
    identity = {
        "tta": digest_of(json.dumps(seen.tta_pipeline, default=str)) if seen else None,
        "checkpoint": digest(args.checkpoint),
        "config": digest_of(json.dumps(cfg.model.to_dict(), sort_keys=True, default=str)),
        "images": str(args.images),
    }
    label = label_boxes if cfg.default_scope == "mmdet" else label_maps
    header = {
        "config": args.config,
        "checkpoint": args.checkpoint,
        "sha256": identity["checkpoint"],
        "tta": args.tta,
    }
    file = label(args, model, names, labelled, identity, header)
    if args.config_out:
        source = find_config(args.config)
        student.check_sizes(json.loads(file.read_text(encoding="utf-8")), args.images, file)
        for note in student.write(
            cfg,
            source,
            args.config_out,
            pseudo=file,
            images=args.images,
            metainfo=labelled.metainfo,
        ):
            print(f"{args.config_out}: {note}")
        print(args.config_out)


def with_views(model: Model, cfg: Config) -> Model:
    """The teacher that is asked for several views of each picture."""
    model.cfg.test_pipeline = views.pipeline_of(cfg)
    return views.joined(model, cfg) if cfg.default_scope == "mmdet" else model


def labelled_set(cfg: Config) -> Any:
    """The teacher's training set, built as the host builds it."""
    try:
        return DATASETS.build(cfg.train_dataloader.dataset)
    except (AttributeError, FileNotFoundError) as error:
        raise BadInputError(
            f"{cfg.filename}: expected the labelled set of its train_dataloader, got {error}; "
            "pseudo labels are measured by it"
        ) from None


def refuse_other_classes(args: argparse.Namespace, own: Sequence[str], labelled: Any) -> None:
    """Compare the teacher's classes with the labelled set's.

    Raises:
        BadInputError: they differ.
    """
    wanted = tuple(labelled.metainfo["classes"])
    if tuple(own) != wanted:
        raise BadInputError(
            f"{args.checkpoint}: expected a teacher of the labelled set's classes "
            f"({some(wanted)}), got one of {some(own)}; train it on this set, or correct metainfo"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    launch.run(pseudo_label, parse_args(argv))
