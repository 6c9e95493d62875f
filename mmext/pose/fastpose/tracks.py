"""Tracks through occlusions: how much of a person is seen decides what its appearance may do.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (no public code)
Idea      The embedding of someone half hidden shows whoever stands in front. So it is read less,
          is never written into the gallery, finds nobody again, and starts no track.
Host      none: numpy and scipy
Deviates  The rule and its numbers are ours: of the paper only abstract and introduction were read.
Letters   M tracks; N detections; K points; D embedding; v share of the points that are seen
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from mmext.errors import BadInputError, did_you_mean
from mmext.pose.fastpose.matching import match
from mmext.pose.fastpose.similarity import mixed
from mmext.pose.fastpose.state import (
    Detections,
    Tracks,
    detections,
    follow_camera,
    new_tracks,
)
from mmext.pose.fastpose.tables import Tables, is_cut, tables

GATES = ("reading", "gallery", "birth", "re-find")


class OcclusionAwareTracks:
    """The tracks of one video; :meth:`step` takes frame after frame.

    Baselines are options: without embeddings, ``recent_frames=30, gates=(), motion="none"`` is IoU
    with memory, ``motion="cv"`` constant velocity; with them ``gates=()`` is ungated re-ID.

    Args:
        birth_score: score from which a detection takes part in the first passes.
        low_score: score from which it may continue a track that found nothing else.
        gates: what a person must be seen clearly for: its appearance is weighed by v in
            ``reading``, written to the ``gallery``, allowed to start a track (``birth``) and to
            find a lost one (``re-find``).
        clear: v from which a person is seen clearly.
        appearance_weight: a, of appearance beside geometry for tracks just seen.
        unread: what the appearance of someone hidden counts as for tracks just seen. "neutral" is
            r, which speaks neither for nor against. "geometry" puts S_geo in its place, so that
            someone hidden, near the track, can beat the right person, whose likeness is below 1.
        recent_score: least S of a pair with a track just seen.
        lost_score: r, least S_app of a pair with a lost one. It belongs to the embedding: a quarter
            of the way from the mean of other persons to the mean of the same.
        passes: whether tracks just seen choose before the lost ones; False for one assignment.
        motion: "cv" moves boxes and poses on at constant velocity, "none" leaves them.
        recent_frames: distance in frames up to which a track was just seen; for frames taken at a
            stride, this many strides.
        memory: distance in frames after which a track ends.
        momentum: of the newest embedding in the gallery.
        tentative_frames: sightings after which someone never seen clearly becomes a track, unless
            a person of this class is lost, who it may be.
        point_threshold: visibility above which a point is seen.
        point_weights: how much each counts in v; None for all alike.
        sigmas: spread of each point in the OKS; None for COCO's, PoseTrack's, or .05.
        find_cuts: whether to leave geometry out where the scene changed.
    """

    def __init__(
        self,
        *,
        birth_score: int | float = 0.5,
        low_score: int | float = 0.1,
        gates: Collection[str] = GATES,
        clear: int | float = 0.7,
        appearance_weight: int | float = 0.5,
        unread: str = "neutral",
        recent_score: int | float = 0.3,
        lost_score: int | float = 0.3,
        passes: bool = True,
        motion: str = "cv",
        recent_frames: int = 2,
        memory: int = 30,
        momentum: int | float = 0.5,
        tentative_frames: int = 5,
        point_threshold: int | float = 0.3,
        point_weights: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
        find_cuts: bool = True,
    ) -> None:
        for gate in gates:
            _refuse_other("gates", gate, GATES)
        _refuse_other("motion", motion, ("cv", "none"))
        _refuse_other("unread", unread, ("neutral", "geometry"))
        self.birth_score, self.low_score = birth_score, low_score
        self.gates, self.clear = frozenset(gates), clear
        self.appearance_weight = appearance_weight
        self.unread = lost_score if unread == "neutral" else None
        self.recent_score, self.lost_score = recent_score, lost_score
        self.passes, self.moving = passes, motion == "cv"
        self.recent_frames, self.memory = recent_frames, memory
        self.momentum, self.tentative_frames = momentum, tentative_frames
        self.point_threshold, self.point_weights = point_threshold, point_weights
        self.sigmas, self.find_cuts = sigmas, find_cuts
        self.reset()

    def reset(self) -> None:
        """Forget everything, ids as well: another video begins."""
        self.tracks: Tracks | None = None
        self.frame: int | None = None
        self.next_id = 0

    def step(
        self,
        boxes: Any,
        scores: Any,
        keypoints: Any = None,
        visibility: Any = None,
        embeddings: Any = None,
        labels: Any = None,
        frame_id: int | None = None,
        camera: Any = None,
    ) -> Int[np.ndarray, " N"]:
        """Identity of each detection of the next frame; -1 where it has none (yet).

        Args:
            boxes: (N, 4), pixels; arrays, or tensors on the CPU.
            scores: (N,), from 0 to 1.
            keypoints: (N, K, 2), pixels, or None.
            visibility: (N, K), from 0 to 1; None for all seen.
            embeddings: (N, D) of any length, or None.
            labels: (N,); None for one class.
            frame_id: number of the frame; frames may be missing. None for the next one.
            camera: homography (3, 3) from places in the last given frame to places in this one,
                where the camera's motion is known.

        Raises:
            BadInputError: the frame is not after the last one, or shapes do not fit.
        """
        found = detections(
            boxes,
            scores,
            keypoints,
            visibility,
            embeddings,
            labels,
            threshold=self.point_threshold,
            weights=self.point_weights,
            sigmas=self.sigmas,
        )
        frame = self._advance(frame_id)
        ids = np.full(len(found), -1)
        tracks = self._living(found, frame)
        if camera is not None:
            follow_camera(tracks, np.asarray(camera, np.float64))
        if len(found):
            pairs = self._match(tracks, found, frame)
            self._continue(tracks, found, pairs, frame)
            ids[pairs[:, 1]] = tracks.ids[pairs[:, 0]]
            self.tracks = self._born(tracks, found, ids, pairs, frame)
        return ids

    def _advance(self, frame_id: int | None) -> int:
        last = self.frame
        frame = (0 if last is None else last + 1) if frame_id is None else int(frame_id)
        if last is not None and frame <= last:
            raise BadInputError(
                f"frame {frame}: expected one after frame {last}, got one that was there before; "
                "give the frames of a video in order, each once"
            )
        self.frame = frame
        return frame

    def _living(self, found: Detections, frame: int) -> Tracks:
        """The tracks that are remembered; of the detections' kind."""
        if self.tracks is None:
            self.tracks = new_tracks(found.select(slice(0)), frame)
        old = self.tracks
        passed = frame - old.last_seen
        dead = passed > np.where(old.ids < 0, min(self.recent_frames, self.memory), self.memory)
        self.tracks = old.select(~dead)
        if len(found):
            self._refuse_another_kind(found)
            if not len(self.tracks):
                self.tracks = new_tracks(found.select(slice(0)), frame)
        return self.tracks

    def _refuse_another_kind(self, found: Detections) -> None:
        assert self.tracks is not None
        old, new = self.tracks, found
        for name, before, now in (
            ("keypoints", old.poses.shape[1], new.poses.shape[1]),
            ("numbers an embedding", old.gallery.shape[1], new.embeddings.shape[1]),
        ):
            if len(old) and before != now:
                raise BadInputError(
                    f"frame {self.frame}: expected {before} {name} as in the frames before, got "
                    f"{now}; use one detector for a video"
                )

    def _match(self, tracks: Tracks, found: Detections, frame: int) -> np.ndarray:
        """Pairs (track, detection) of all passes."""
        tentative = tracks.ids < 0
        recent = frame - tracks.last_seen <= self.recent_frames
        strong = found.scores >= self.birth_score
        table = tables(tracks, found, frame, moving=self.moving, sigmas=self.sigmas)
        known = recent & tracks.written
        if self.find_cuts and is_cut(table, known, strong, lost_score=self.lost_score):
            recent = np.zeros_like(recent)
        self._score(table, tracks, found, recent)
        in_turn = [recent & ~tentative, ~recent & ~tentative]
        passes = [*(in_turn if self.passes else [~tentative]), tentative & recent]
        first = match(table.score, table.allowed, passes, strong)
        # DEVIATION: low scores and tentative tracks are not in the paper, but in every tracker
        # that came after it.
        left = recent & ~tentative
        left[first[:, 0]] = False
        weak = ~strong & (found.scores >= self.low_score)
        near = table.same & (table.geo > self.recent_score)
        return np.concatenate([first, match(table.geo, near, [left], weak)])

    def _score(self, table: Tables, tracks: Tracks, found: Detections, recent: np.ndarray) -> None:
        """S, and which pairs may be made, of tracks just seen and of lost ones."""
        # DEVIATION: the plain rule is unread="geometry"; see the class.
        read = found.share if "reading" in self.gates else np.ones(len(found))
        looks = bool(found.embeddings.shape[1])
        near = mixed(
            table.app,
            table.geo,
            read[None] * tracks.written[:, None],
            weight=self.appearance_weight if looks else 0.0,
            unread=self.unread,
        )
        clear = found.share >= self.clear if "re-find" in self.gates else np.ones(len(found), bool)
        again = tracks.written[:, None] & clear[None] & (table.app > self.lost_score)
        table.score = np.where(recent[:, None], near, table.app)
        allowed = np.where(recent[:, None], near > self.recent_score, again)
        table.allowed = table.same & allowed

    def _continue(self, tracks: Tracks, found: Detections, pairs: np.ndarray, frame: int) -> None:
        rows, seen = pairs[:, 0], found.select(pairs[:, 1])
        away = frame - tracks.last_seen[rows] > self.recent_frames
        tracks.see(rows, seen, frame, fresh=away)
        strong = seen.scores >= self.birth_score
        may = strong & (seen.share >= self.clear) if "gallery" in self.gates else strong
        if seen.embeddings.shape[1]:
            tracks.remember(rows[may], seen.embeddings[may], momentum=self.momentum)
        lost = (tracks.ids >= 0) & (frame - tracks.last_seen > self.recent_frames)
        grown = tracks.sightings[rows] >= self.tentative_frames
        grown &= ~np.isin(seen.labels, tracks.labels[lost])
        self._confirm(tracks, rows[(tracks.ids[rows] < 0) & (self._is_clear(seen) | grown)])

    def _is_clear(self, found: Detections) -> np.ndarray:
        """Who may start a track."""
        if "birth" not in self.gates:
            return np.ones(len(found), bool)
        return found.share >= self.clear

    def _confirm(self, tracks: Tracks, rows: np.ndarray) -> None:
        tracks.ids[rows] = self.next_id + np.arange(len(rows))
        self.next_id += len(rows)

    def _born(
        self,
        tracks: Tracks,
        found: Detections,
        ids: np.ndarray,
        pairs: np.ndarray,
        frame: int,
    ) -> Tracks:
        """Start a track of each strong detection that is left; fills in their ids."""
        left = found.scores >= self.birth_score
        left[pairs[:, 1]] = False
        seen = found.select(left)
        new = new_tracks(seen, frame)
        write = np.ones(len(seen), bool)
        if "gallery" in self.gates:
            write = seen.share >= self.clear
        if seen.embeddings.shape[1]:
            new.remember(np.flatnonzero(write), seen.embeddings[write], momentum=self.momentum)
        self._confirm(new, np.flatnonzero(self._is_clear(seen)))
        ids[left] = new.ids
        return tracks.joined(new)


def _refuse_other(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise BadInputError(
            f"{name}: expected {' or '.join(known)}, got {value!r}{did_you_mean(value, known)}; "
            "correct it"
        )
