"""Slow loops for mmcv's operators, from their definitions, in numpy and double precision."""

import math

import numpy as np


def iou(a, b, offset=0):
    w, h = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + offset) for i in (0, 1))
    area = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
    union = sum(area) - w * h
    return w * h / union if union else math.nan


def nms(boxes, order, threshold, offset=0):
    kept = []
    for i in order:
        if not any(iou(boxes[k], boxes[i], offset) > threshold for k in kept):
            kept.append(i)
    return kept


def nms_match(boxes, scores, threshold):
    order = sorted(range(len(boxes)), key=lambda i: -scores[i])
    groups = []
    for i in order:
        owner = next(
            (group for group in groups if iou(boxes[group[0]], boxes[i]) >= threshold), None
        )
        groups.append([i]) if owner is None else owner.append(i)
    return groups


def soft_nms(boxes, scores, threshold, sigma, min_score, method, offset=0):
    left, found = dict(enumerate(scores)), []
    while left:
        best = max(left, key=lambda i: left[i])
        found.append((best, left.pop(best)))
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            factor = {
                "naive": 0.0 if overlap >= threshold else 1.0,
                "linear": 1 - overlap if overlap >= threshold else 1.0,
                "gaussian": math.exp(-(overlap**2) / sigma),
            }[method]
            left[i] *= factor
            if left[i] < min_score:
                del left[i]
    return found


def read(plane, y, x):
    """Bilinear, zero outside."""
    H, W = plane.shape
    top, left, total = math.floor(y), math.floor(x), 0.0
    for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= i < H and 0 <= j < W:
            total += plane[i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


def read_near(plane, y, x):
    """Bilinear; the edge goes on for a pixel, and beyond is zero."""
    H, W = plane.shape
    if y < -1 or y > H or x < -1 or x > W:
        return 0.0
    return read(plane, min(max(y, 0), H - 1), min(max(x, 0), W - 1))


def roi_align(x, rois, size, scale, ratio, mode, aligned, shift=None):
    (P, Q), half = size, 0.5 if aligned else 0.0
    out = np.zeros((len(rois), x.shape[1], P, Q))
    for k, (image, *roi) in enumerate(rois):
        x1, y1, x2, y2 = (value * scale - half for value in roi)
        w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
        ny, nx = (ratio, ratio) if ratio else (math.ceil(h / P), math.ceil(w / Q))
        for c, p, q in np.ndindex(out.shape[1:]):
            dx, dy = (0, 0) if shift is None else (shift[k, 0, p, q] * w, shift[k, 1, p, q] * h)
            samples = [
                read_near(
                    x[int(image), c],
                    y1 + dy + (p + (i + 0.5) / ny) * h / P,
                    x1 + dx + (q + (j + 0.5) / nx) * w / Q,
                )
                for i in range(ny)
                for j in range(nx)
            ]
            if samples:
                out[k, c, p, q] = max(samples) if mode == "max" else sum(samples) / len(samples)
    return out


def roi_pool(x, rois, size, scale):
    out = np.zeros((len(rois), x.shape[1], *size))
    for k, (image, x1, y1, x2, y2) in enumerate(rois):
        left, top, right, bottom = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        for p, q in np.ndindex(size):
            rows = [top + i * (bottom - top) / size[0] for i in (p, p + 1)]
            cols = [left + i * (right - left) / size[1] for i in (q, q + 1)]
            y = range(max(0, math.floor(rows[0])), min(x.shape[2], math.ceil(rows[1])))
            z = range(max(0, math.floor(cols[0])), min(x.shape[3], math.ceil(cols[1])))
            if len(y) and len(z):
                out[k, :, p, q] = x[int(image)][:, y.start : y.stop, z.start : z.stop].max(
                    axis=(1, 2)
                )
    return out


def deform_conv(x, offset, weight, mask, stride, padding, dilation, groups, offset_groups):
    (N, C), (out_channels, per_group, kh, kw), (h, w) = x.shape[:2], weight.shape, offset.shape[2:]
    out = np.zeros((N, out_channels, h, w))
    for n, o, i, j in np.ndindex(out.shape):
        for c in range(per_group):
            channel = o // (out_channels // groups) * per_group + c
            block = channel // (C // offset_groups)
            for t, (a, b) in enumerate(np.ndindex(kh, kw)):
                at = block * kh * kw + t
                y = i * stride[0] - padding[0] + a * dilation[0] + offset[n, 2 * at, i, j]
                z = j * stride[1] - padding[1] + b * dilation[1] + offset[n, 2 * at + 1, i, j]
                factor = 1 if mask is None else mask[n, at, i, j]
                out[n, o, i, j] += weight[o, c, a, b] * factor * read(x[n, channel], y, z)
    return out


def deformable_attention(value, sizes, starts, location, attention):
    N, Q, M, L, P, _ = location.shape
    D = value.shape[-1]
    out = np.zeros((N, Q, M, D))
    for n, q, m, level, p in np.ndindex(N, Q, M, L, P):
        H, W = sizes[level]
        plane = value[n, starts[level] : starts[level] + H * W, m].reshape(H, W, D)
        x, y = location[n, q, m, level, p] * (W, H) - 0.5
        for d in range(D):
            out[n, q, m, d] += attention[n, q, m, level, p] * read(plane[:, :, d], y, x)
    return out.reshape(N, Q, M * D)


def carafe(x, masks, kernel, groups, scale):
    (N, C, H, W), half = x.shape, (kernel - 1) // 2
    out = np.zeros((N, C, H * scale, W * scale))
    for n, c, i, j in np.ndindex(out.shape):
        for a, b in np.ndindex(kernel, kernel):
            y, z = i // scale + a - half, j // scale + b - half
            if 0 <= y < H and 0 <= z < W:
                entry = (c // (C // groups) * kernel + a) * kernel + b
                out[n, c, i, j] += x[n, c, y, z] * masks[n, entry, i, j]
    return out


def tin_shift(x, shift):
    out = np.zeros_like(x)
    for n, t, c in np.ndindex(x.shape[:3]):
        to = t + shift[n, c // (x.shape[2] // shift.shape[1])]
        if 0 <= to < x.shape[1]:
            out[n, to, c] = x[n, t, c]
    return out


def psa_mask(x, kind, mask):
    N, _, H, W = x.shape
    out = np.zeros((N, H * W, H * W))
    for n, h, w, i, j in np.ndindex(N, H, W, *mask):
        y, z = h + i - (mask[0] - 1) // 2, w + j - (mask[1] - 1) // 2
        if 0 <= y < H and 0 <= z < W:
            here, there = h * W + w, y * W + z
            out[n][(there, here) if kind == 0 else (here, there)] = x[n, i * mask[1] + j, h, w]
    return out.reshape(N, H * W, H, W)


def sigmoid_focal(x, labels, gamma, alpha, weight):
    total = 0.0
    for n, k in np.ndindex(x.shape):
        p = 1 / (1 + math.exp(-x[n, k]))
        own = labels[n] == k
        loss = (
            -alpha * (1 - p) ** gamma * math.log(p)
            if own
            else -(1 - alpha) * p**gamma * math.log(1 - p)
        )
        total += loss * (1 if weight is None else weight[labels[n]])
    return total


def softmax_focal(x, labels, gamma, alpha, weight):
    total = 0.0
    for n, label in enumerate(labels):
        p = np.exp(x[n])[label] / np.exp(x[n]).sum()
        total -= alpha * (1 - p) ** gamma * math.log(p) * (1 if weight is None else weight[label])
    return total


def masked_conv(x, mask, weight, bias):
    (_, C, H, W), (_, _, kh, kw) = x.shape, weight.shape
    out = np.zeros((1, len(weight), H, W))
    for o, i, j in np.ndindex(*out.shape[1:]):
        if mask[0, i, j] > 0:
            out[0, o, i, j] = bias[o] + sum(
                weight[o, c, a, b] * x[0, c, i + a - 1, j + b - 1]
                for c, a, b in np.ndindex(C, kh, kw)
                if 0 <= i + a - 1 < H and 0 <= j + b - 1 < W
            )
    return out
