"""Two students and their teacher as one model, each with a step and an optimizer of its own."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from mmengine.logging import MessageHub
from mmengine.model import BaseModel, is_model_wrapper
from torch import Tensor, nn

from mmext.errors import did_you_mean
from mmext.functional import at_least_float32
from mmext.landmarks.samples import stacked
from mmext.landmarks.ts3.batches import partners
from mmext.landmarks.ts3.lesson import Lesson
from mmext.landmarks.ts3.scores import EXCHANGES, SIGNALS
from mmext.registry import MODELS

MEMBERS = ("student_a", "student_b", "teacher")
FUSIONS = ("mean", "student_a", "student_b")


def fused(
    first: Float[Tensor, "B K h w"], second: Float[Tensor, "B K i j"]
) -> Float[Tensor, "B K m n"]:
    """The mean of both students' maps, at the size of the larger ones."""
    larger, smaller = sorted((first, second), key=lambda maps: maps.shape[-1], reverse=True)
    if larger.shape != smaller.shape:
        smaller = F.interpolate(smaller, larger.shape[-2:], mode="bilinear", align_corners=False)
    return (at_least_float32(larger) + at_least_float32(smaller)) / 2


@MODELS.register_module()
class TS3(BaseModel):
    """Two landmark detectors that teach themselves, and a teacher that judges their labels.

    Samples of labelled pictures train both students and the teacher. Samples with
    ``student_keypoints`` and ``student_weights``, one row a student, train the students alone;
    :class:`~mmext.landmarks.ts3.loop.TS3TrainLoop` makes them.

    Args:
        students: configs of two ``mmext.LandmarkDetector``, for pictures of one size.
        teacher: config of the teacher; its channels follow from the students.
        objective: of the teacher: ``quality``, ``rank`` or ``lsgan``.
        tau: error, in sides of the input, whose quality is 1 / e.
        teacher_size: longer side of what the teacher sees, in pixels.
        sigma: of the landmarks that are drawn for it, in longer sides.
        score_mix: signals whose ranks are the score of a label: teacher, agreement, peak.
        exchange: whose labels a student is trained on: ``self`` its own, ``cross`` the other's,
            ``fused`` the mean of both.
        fuse: what is decoded at test: the ``mean`` of both maps, or one student's.
        seed: of the corruptions that the teacher is shown.
        data_preprocessor: that of the first student if None.
        init_cfg: mmengine's.

    Raises:
        ValueError: something of these cannot be.
    """

    def __init__(
        self,
        students: Sequence[Any] = (
            dict(type="mmext.LandmarkDetector"),
            dict(
                type="mmext.LandmarkDetector",
                net=dict(type="mmext.StackedHourglass", num_keypoints=68),
                codec=dict(type="mmext.GaussianHeatmapCodec", stride=4),
                loss="mean",
            ),
        ),
        teacher: Mapping[str, Any] = dict(type="mmext.PatchTeacher"),
        objective: str = "quality",
        tau: float = 0.1,
        teacher_size: int = 64,
        sigma: float = 0.05,
        score_mix: Sequence[str] = SIGNALS,
        exchange: str = "self",
        fuse: str = "mean",
        seed: int = 0,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Any | None = None,
    ) -> None:
        _refuse(students, score_mix, exchange, fuse)
        first, second = (
            MODELS.build(dict(one)) if isinstance(one, Mapping) else one for one in students
        )
        preprocessor = first.data_preprocessor if data_preprocessor is None else data_preprocessor
        super().__init__(preprocessor, init_cfg)
        for student in (first, second):
            del student.data_preprocessor  # pictures come preprocessed: it is this model's
        if first.codec.input_size != second.codec.input_size:
            raise ValueError(
                "students expected pictures of one size, got input sizes "
                f"{first.codec.input_size} and {second.codec.input_size}; give both the same"
            )
        self.student_a, self.student_b = first, second
        channels = 3 + points_of(first)
        self.teacher = MODELS.build({"in_channels": channels, **teacher})
        self.lesson = Lesson(objective, tau, teacher_size, sigma)
        self.score_mix, self.exchange, self.fuse = tuple(score_mix), exchange, fuse
        self.seed = seed

    @property
    def students(self) -> tuple[Any, Any]:
        """Both, without the wrappers of a distributed run."""
        return bare(self.student_a), bare(self.student_b)

    @property
    def finer(self) -> Any:
        """The student of the smaller stride, by whose codec the mean of both is decoded."""
        return min(self.students, key=lambda one: one.net.stride)

    @property
    def net(self) -> Any:
        """Of the finer student: what asks a detector for its net gets this one."""
        return self.finer.net

    @property
    def codec(self) -> Any:
        """Of the finer student."""
        return self.finer.codec

    def forward(
        self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = "tensor"
    ) -> Any:
        """Both students' maps, losses of all members, or samples with predictions."""
        if mode == "loss":
            return self.loss(inputs, data_samples or ())
        if mode == "predict":
            return self.predict(inputs, data_samples or ())
        if mode != "tensor":
            raise ValueError(f"mode must be tensor, loss or predict, got {mode!r}; give one")
        return self.student_a(inputs), self.student_b(inputs)

    def predict(self, inputs: Tensor, data_samples: Sequence[Any]) -> list[Any]:
        """Points from the maps of both students, at the size of the larger ones."""
        first, second = self.students
        if self.fuse != "mean":
            chosen = first if self.fuse == "student_a" else second
            return chosen.postprocess(chosen.maps(inputs), data_samples)
        maps = fused(first.maps(inputs)[-1], second.maps(inputs)[-1])
        return self.finer.postprocess([maps], data_samples)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of all members at once, which keeps all their features; training steps in turn."""
        found: dict[str, Tensor] = {}
        guesses = []
        for number in (0, 1):
            losses, guess = self.student_loss(number, inputs, data_samples)
            found |= {f"{MEMBERS[number]}.{name}": value for name, value in losses.items()}
            guesses.append(guess)
        found["teacher.loss"] = self.teacher_loss(inputs, data_samples, guesses)
        return found

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One step of each student, then of the teacher; each frees its features before the next.

        Args:
            data: a batch of the data loader.
            optim_wrapper: mmengine's OptimWrapperDict with a wrapper a member.
        """
        data = self.data_preprocessor(data, True)
        inputs, samples = data["inputs"], data["data_samples"]
        logged: dict[str, Tensor] = {}
        guesses = []
        for number in (0, 1):
            member = MEMBERS[number]
            with optim_wrapper[member].optim_context(getattr(self, member)):
                losses, guess = self.student_loss(number, inputs, samples)
            total, values = self.parse_losses(losses)
            optim_wrapper[member].update_params(total)
            logged |= {f"{member}.{name}": value for name, value in values.items()}
            guesses.append(guess)
        with optim_wrapper["teacher"].optim_context(self.teacher):
            total = self.teacher_loss(inputs, samples, guesses)
        optim_wrapper["teacher"].update_params(total)
        logged["teacher.loss"] = total.detach()
        logged["loss"] = torch.stack([logged[f"{member}.loss"] for member in MEMBERS]).sum()
        return logged

    def student_loss(
        self, number: int, inputs: Tensor, data_samples: Sequence[Any]
    ) -> tuple[dict[str, Tensor], Float[Tensor, "B K 2"]]:
        """Losses of one student on its own labels, and where it puts the points."""
        student = self.students[number]
        # through the wrapper: that is how ranks learn of the gradients
        maps = getattr(self, MEMBERS[number])(inputs)
        points, weights = own_labels(number, data_samples, inputs.device)
        losses = student.losses_of(maps, points, weights)
        with torch.no_grad():
            guess, _ = student.codec.decode(maps[-1].detach())
        return losses, guess

    def teacher_loss(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        guesses: Sequence[Float[Tensor, "B K 2"]],
    ) -> Tensor:
        """The teacher's loss on the batch's labelled pictures; 0 with a graph without any."""
        rows = [n for n, one in enumerate(data_samples) if "student_keypoints" not in one]
        # One picture is judged even if none is labelled: on several ranks all take part.
        some = rows or [0]
        chosen = [data_samples[n] for n in some]
        points, visible = own_labels(0, chosen, inputs.device)
        shown = torch.stack([torch.stack([guess[n] for guess in guesses]) for n in some])
        pairs = chosen[0].get("flip_pairs")
        loss = self.lesson.loss(
            self.teacher,
            torch.stack([inputs[n] for n in some]),
            points.to(shown),
            visible.to(shown),
            shown,
            generator=self._generator(inputs.device),
            partner=_partner(tuple(map(tuple, pairs)), points.shape[1], inputs.device)
            if pairs is not None and len(pairs)
            else None,
        )
        return loss if rows else loss * 0

    @torch.no_grad()
    def judged(self, inputs: Tensor) -> dict[str, Tensor]:
        """Labels of both students and what the teacher says of them.

        Returns:
            ``points`` (B, 2, K, 2) in pixels of the inputs, ``peaks`` (B, 2, K) and ``quality``
            (B, 2).
        """
        teacher = bare(self.teacher)
        decoded = [one.codec.decode(one.maps(inputs)[-1]) for one in self.students]
        quality = [self.lesson.judged(teacher, inputs, points) for points, _ in decoded]
        return dict(
            points=torch.stack([points for points, _ in decoded], 1),
            peaks=torch.stack([peaks for _, peaks in decoded], 1),
            quality=torch.stack(quality, 1),
        )

    def _generator(self, device: torch.device) -> torch.Generator:
        """Draws that follow from the seed, the iteration and the rank, so runs can go on."""
        hub = MessageHub.get_current_instance()
        step = int(hub.get_info("iter", 0))
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        # Mixed into 32 bits: of a larger number a CPU takes the lower half alone.
        (mixed,) = np.random.SeedSequence((self.seed, step, rank)).generate_state(1).tolist()
        return torch.Generator(device).manual_seed(mixed)


def own_labels(
    number: int, data_samples: Sequence[Any], device: torch.device
) -> tuple[Float[Tensor, "B K 2"], Float[Tensor, "B K"]]:
    """The points that a student is trained on, and their weights: people's, or pseudo-labels."""
    points, weights = stacked(data_samples, device)
    # Stacked anew: an index made of Python numbers would wait for a GPU to take it.
    own = [
        (sample.student_keypoints[number], sample.student_weights[number])
        if "student_keypoints" in sample
        else people
        for sample, *people in zip(data_samples, points, weights, strict=True)
    ]
    return (
        torch.stack([one.to(points) for one, _ in own]),
        torch.stack([one.to(weights) for _, one in own]),
    )


@lru_cache(maxsize=8)
def _partner(pairs: tuple[Any, ...], count: int, device: torch.device) -> Int[Tensor, " K"]:
    """The number of the point on the other side, kept: a copy to a GPU waits for it."""
    return torch.from_numpy(partners(pairs, count)).to(device)


def points_of(student: Any) -> int:
    """K of a detector."""
    return int(student.net.num_keypoints)


def bare(module: nn.Module) -> Any:
    """The module without the wrapper of a distributed run."""
    return module.module if is_model_wrapper(module) else module


def _refuse(students: Sequence[Any], score_mix: Sequence[str], exchange: str, fuse: str) -> None:
    if len(students) != 2:
        raise ValueError(
            f"students expected two detectors, got {len(students)}; TS3 needs two that differ"
        )
    unknown = [one for one in score_mix if one not in SIGNALS]
    if unknown or not score_mix:
        raise ValueError(
            f"score_mix expected some of {SIGNALS}, got {tuple(score_mix)}"
            + (did_you_mean(unknown[0], SIGNALS) if unknown else "; name one or more")
        )
    for name, value, known in (("exchange", exchange, EXCHANGES), ("fuse", fuse, FUSIONS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}; give one of these")
