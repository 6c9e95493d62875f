"""How alike two persons are: boxes, poses and appearance, as tables of tracks x detections.

Paper     Zhang et al. 2019, https://arxiv.org/abs/1908.05593 (no public code)
Idea      The pose tells how much of a person is seen, and so how far its appearance may be trusted.
Host      none: numpy alone
Deviates  The rule and its numbers are ours: of the paper only abstract and introduction were read.
Letters   M tracks; N detections; K points; D embedding; boxes xyxy, pixels
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from mmext.pose.fastpose import layouts

OTHER_SIGMA = 0.05


def sigmas_of(num_points: int) -> tuple[float, ...]:
    """Spread of each point where nobody says: COCO's for 17, PoseTrack's for 15, else .05 each."""
    layout = layouts.usual(num_points)
    return (layout and layout.sigmas) or (OTHER_SIGMA,) * num_points


def area(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Area in square pixels; a box that is inside out has none.

    Example:
        >>> area(np.array([[0.0, 0.0, 4.0, 2.0]]))
        array([8.])
    """
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]


def iou(a: Float[np.ndarray, "M 4"], b: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "M N"]:
    """Intersection over union; 0 where both boxes are empty."""
    least = np.maximum(a[:, None, :2], b[None, :, :2])
    most = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(most - least, 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = area(a)[:, None] + area(b)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def oks(
    poses_a: Float[np.ndarray, "M K 2"],
    poses_b: Float[np.ndarray, "N K 2"],
    visible_a: Bool[np.ndarray, "M K"],
    visible_b: Bool[np.ndarray, "N K"],
    areas: Float[np.ndarray, "M N"],
    *,
    sigmas: Sequence[float] | None = None,
    least_points: int = 3,
) -> Float[np.ndarray, "M N"]:
    """Mean over points visible in both of ``exp(-d^2 / (2 A (2 sigma)^2))``.

    Args:
        poses_a: places of the points, pixels.
        poses_b: the others'.
        visible_a: which of them are seen.
        visible_b: of the others.
        areas: A, of the pair, square pixels.
        sigmas: spread of each point; None for :func:`sigmas_of`.
        least_points: 0 where fewer are visible in both, since one point says little.
    """
    num_points = poses_a.shape[1]
    spread = 2 * np.asarray(sigmas_of(num_points) if sigmas is None else sigmas)
    offset = poses_a[:, None] - poses_b[None]
    distance = np.einsum("mnkd,mnkd->mnk", offset, offset)
    scale = 2 * np.maximum(areas, 1e-9)[..., None] * spread**2
    both = visible_a[:, None] & visible_b[None]
    alike = np.where(both, np.exp(-distance / scale), 0)
    count = both.sum(-1)
    enough = count >= max(least_points, 1)
    return np.where(enough, alike.sum(-1) / np.maximum(count, 1), 0)


def appearance(
    gallery: Float[np.ndarray, "M D"], embeddings: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, "M N"]:
    """S_app: the cosine, both being of length 1."""
    return gallery @ embeddings.T


def visible_share(
    visibility: Float[np.ndarray, "N K"],
    *,
    threshold: float = 0.3,
    weights: Sequence[float] | None = None,
) -> Float[np.ndarray, " N"]:
    """Share v of the points that are seen; 1 where there are no points, as nothing speaks against.

    Args:
        visibility: c, confidence that a point is seen, from 0 to 1.
        threshold: seen is what lies above.
        weights: how much each point counts; None for all alike.

    Example:
        >>> visible_share(np.array([[0.9, 0.8, 0.1, 0.2]]))
        array([0.5])
    """
    count, num_points = visibility.shape
    if not num_points:
        return np.ones(count)
    share = np.ones(num_points) if weights is None else np.asarray(weights, float)
    return (visibility > threshold) @ (share / share.sum())


def mixed(
    app: Float[np.ndarray, "M N"],
    geo: Float[np.ndarray, "M N"],
    trust: Float[np.ndarray, "M N"],
    *,
    weight: float,
    unread: float | None,
) -> Float[np.ndarray, "M N"]:
    """S of a track that was just seen: geometry, and as much of appearance as can be trusted.

    Args:
        app: S_app.
        geo: S_geo.
        trust: v, from 0 to 1.
        weight: a, of appearance.
        unread: what appearance counts as where it is not trusted; None puts geometry in its place:
            S = a v S_app + (1 - a v) S_geo.
    """
    if unread is None:
        return weight * trust * app + (1 - weight * trust) * geo
    return weight * (trust * app + (1 - trust) * unread) + (1 - weight) * geo


def unit(vectors: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Of length 1; one without a direction stays 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
