"""Rounds of labelling and training, each with its labels in a file, resumable in the middle."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.dataset import pseudo_collate
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmext.errors import BadInputError
from mmext.landmarks.ts3 import bank as banks
from mmext.landmarks.ts3.bank import Bank, Head
from mmext.landmarks.ts3.batches import RoundDataset, RoundSampler, names_of, trained_on
from mmext.landmarks.ts3.labelling import Labelling, Predicted, predicted
from mmext.landmarks.ts3.model import TS3
from mmext.registry import LOOPS


@LOOPS.register_module()
class TS3TrainLoop(IterBasedTrainLoop):
    """Train on the labels, then in each round label the other pictures and train on both.

    A round's labels lie in ``round_<k>/pseudo.json`` of the work dir. Hooks may have a method
    ``after_labelling(runner, number, bank, predicted)``. Validation and checkpoints are by
    iteration.

    Args:
        runner: of the run.
        dataloader: of the labelled pictures; its sampler is not used.
        warmup_iters: iterations on the labels alone.
        round_iters: iterations of a round.
        rounds: R; labels are made anew in each.
        unlabeled_dataloader: of the other pictures, without chance in its pipeline; training takes
            the transforms of the labelled ones. None takes the config's ``unlabeled_dataloader``,
            and without one all iterations are on the labels.
        pseudo_share: share of a batch that is pseudo-labelled.
        filter: ``soft`` weights or the ``hard`` choice of faces.
        reach: d0, in sides of the input, of the soft weights.
        step: share of the faces that ``hard`` lets pass more in each round.
        val_begin: iteration from which validation runs.
        val_interval: iterations between two of them.

    Raises:
        BadInputError: there is no labelled picture, or a number cannot be.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        warmup_iters: int = 10000,
        round_iters: int = 10000,
        rounds: int = 5,
        *,
        unlabeled_dataloader: Mapping[str, Any] | None = None,
        pseudo_share: float = 0.25,
        filter: str = "soft",
        reach: float = 0.03,
        step: float = 0.2,
        val_begin: int = 1,
        val_interval: int = 1000,
    ) -> None:
        # Not IterBasedTrainLoop's own, which starts to read batches that are not used then.
        BaseLoop.__init__(self, runner, dataloader)
        _refuse(warmup_iters, round_iters, rounds, pseudo_share)
        self.warmup_iters, self.round_iters, self.rounds = warmup_iters, round_iters, rounds
        self.pseudo_share = pseudo_share
        self._weighing: dict[str, Any] = dict(filter=filter, reach=reach, step=step)
        Labelling(**self._weighing)  # what cannot be is refused now, not after the first iterations
        self._max_iters, self._max_epochs = warmup_iters + rounds * round_iters, 1
        self._epoch = self._iter = 0
        self.val_begin, self.val_interval = val_begin, val_interval
        self.dynamic_milestones, self.dynamic_intervals = [0], [val_interval]
        self.stop_training = False
        self.labelled = self.dataloader.dataset
        if len(self.labelled) == 0:
            raise BadInputError(
                "train_dataloader: expected labelled pictures, got a data set of none; look at its "
                "ann_file and indices"
            )
        self.runner.visualizer.dataset_meta = getattr(self.labelled, "metainfo", None)
        given = unlabeled_dataloader or runner.cfg.get("unlabeled_dataloader")
        self._unlabeled_cfg = copy.deepcopy(dict(given)) if given else None
        self.unlabelled = self._built_unlabelled()
        _refuse_single(self.unlabelled, self.dataloader.batch_size or 1)
        self.number = -1  # of the round whose batches are at hand
        self.bank: Bank | None = None

    def _built_unlabelled(self) -> Any:
        if self._unlabeled_cfg is None:
            print_log(
                "TS3: no unlabeled_dataloader in the config; training is on the labels alone",
                logger="current",
            )
            return None
        cfg = dict(self._unlabeled_cfg)
        cfg.setdefault("sampler", dict(type="mmengine.DefaultSampler", shuffle=False))
        found = self.runner.build_dataloader(cfg).dataset
        if len(found) == 0:
            # An empty folder is refused by its data set; here all that there are have labels.
            print_log(
                "TS3: all pictures of unlabeled_dataloader have labels; training is on the labels "
                "alone",
                logger="current",
            )
            return None
        return found

    @property
    def model(self) -> TS3:
        """Without a wrapper.

        Raises:
            BadInputError: it is not TS3, or wrapped such that its members cannot step in turn.
        """
        model: Any = self.runner.model
        if isinstance(model, MMDistributedDataParallel):
            raise BadInputError(
                "TS3 on several ranks expected MMSeparateDistributedDataParallel, got "
                "MMDistributedDataParallel, which steps all members at once; set "
                "model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel')"
            )
        model = model.module if is_model_wrapper(model) else model
        if not isinstance(model, TS3):
            raise BadInputError(
                f"TS3TrainLoop expected a model of type mmext.TS3, got {type(model).__name__}; "
                "wrap two detectors in one, or take IterBasedTrainLoop"
            )
        return model

    def run(self) -> torch.nn.Module:
        """All rounds."""
        seeds = [self.runner.seed]
        dist.broadcast_object_list(seeds)  # a rank may have its own
        self.seed = int(seeds[0])
        self.labelling = Labelling(**self._weighing, score_mix=self.model.score_mix)
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        while self._iter < self._max_iters and not self.stop_training:
            if self.round_of(self._iter) != self.number:
                batches = self._enter(self.round_of(self._iter))
            self.runner.model.train()
            self.run_iter(next(batches))
            if (
                self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
            ):
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def round_of(self, iteration: int) -> int:
        """The round of an iteration; 0 is the training on the labels alone."""
        over = iteration - self.warmup_iters
        return 0 if over < 0 else 1 + over // self.round_iters

    def _first_of(self, number: int) -> int:
        return 0 if number == 0 else self.warmup_iters + (number - 1) * self.round_iters

    def file_of(self, number: int) -> Path:
        """Where a round's labels lie."""
        return Path(self.runner.work_dir) / f"round_{number}" / banks.FILE

    def _enter(self, number: int) -> Iterator[Any]:
        """Batches of a round, from the iteration on that is next."""
        self.number, first = number, self._iter - self._first_of(number)
        last = self.round_iters if number else self.warmup_iters
        self.bank = None
        if number and self.unlabelled is not None:
            self.bank = self._resumed(number) if first else self._label(number)
            data = trained_on(self.labelled, self.unlabelled, self.bank, self.model.exchange)
        else:
            data = RoundDataset(self.labelled)
        sampler = RoundSampler(
            len(self.labelled),
            len(data.rows),
            self.dataloader.batch_size or 1,
            self.pseudo_share,
            (self.seed, number),
            first=first,
            last=last,
            rank=dist.get_rank(),
            world_size=dist.get_world_size(),
        )
        loader: Any = DataLoader(
            data,
            batch_sampler=sampler,
            num_workers=self.dataloader.num_workers,
            collate_fn=self.dataloader.collate_fn,
            pin_memory=self.dataloader.pin_memory,
        )
        return iter(loader)

    def _head(self, number: int) -> Head:
        """What labels of this run's round belong to."""
        model = self.model
        settings = dict(
            **self._weighing,
            score_mix=model.score_mix,
            exchange=model.exchange,
            lesson=vars(model.lesson),
            share=self.pseudo_share,
            iters=[self.warmup_iters, self.round_iters],
        )
        split = [names_of(self.labelled), names_of(self.unlabelled)]
        return Head(number, banks.digest(split), banks.digest(settings))

    def _label(self, number: int) -> Bank:
        """Label the other pictures; the main process writes them down."""
        loader = self._unlabeled_cfg or {}
        found = predicted(
            self.model,
            self.unlabelled,
            batch_size=loader.get("batch_size", 8),
            num_workers=loader.get("num_workers", 0),
            collate=pseudo_collate,
        )
        made = [self.labelling.bank(names_of(self.unlabelled), found, number)]
        # Ranks on unlike devices may round unlike: all go on from the first one's word.
        dist.broadcast_object_list(made)
        if dist.is_main_process():
            banks.write(self.file_of(number), made[0], self._head(number))
        self._tell(number, made[0], found)
        return made[0]

    def _resumed(self, number: int) -> Bank:
        """The labels of the round that was broken off, as the main process finds them."""
        told: list[Any] = [None, None]
        if dist.is_main_process():
            try:
                told[0] = banks.read(self.file_of(number), self._head(number))
            except BadInputError as error:
                told[1] = str(error)
        dist.broadcast_object_list(told)
        if told[1] is not None:
            raise BadInputError(told[1])
        return told[0]

    def _tell(self, number: int, made: Bank, found: Predicted) -> None:
        share = float((made.weights.sum(-1) > 0).mean())
        print_log(
            f"TS3 round {number}: {len(made)} pictures labelled, {share:.0%} of the labels count, "
            f"mean weight of a point {float(made.weights.mean()):.2f}",
            logger="current",
        )
        self.runner.call_hook("after_labelling", number=number, bank=made, predicted=found)


def _refuse(warmup_iters: int, round_iters: int, rounds: int, pseudo_share: float) -> None:
    least = (("warmup_iters", warmup_iters), ("round_iters", round_iters), ("rounds", rounds))
    for name, value in least:
        if value < (0 if name == "rounds" else 1):
            raise BadInputError(f"{name} expected a positive number, got {value}; change it")
    if not 0 < pseudo_share < 1:
        raise BadInputError(
            f"pseudo_share expected a share of the batch above 0 and below 1, got {pseudo_share}; "
            "change it"
        )


def _refuse_single(unlabelled: Any, batch_size: int) -> None:
    if unlabelled is not None and batch_size < 2:
        raise BadInputError(
            "train_dataloader expected a batch_size of 2 or more, for a picture with people's "
            f"labels and one with pseudo-labels, got {batch_size}; raise it"
        )
