"""Figures for pairs: the true target of each translation is known.

R² is `ltzoo.evaluation.metrics.cycle.r2` of true and translated latents.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["cosine", "log_spectral_distance", "psnr", "ranks", "ssim"]

LEAST_MSE = 1e-10
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03
LEAST_POWER = 1e-8


def cosine(truth: Tensor, translated: Tensor) -> Tensor:
    """Cosine of the angle between each translated latent and its true one.

    Args:
        truth: ``(n, ...)``.
        translated: Of the same shape.

    Returns:
        float64 ``(n,)``, -1..1.
    """
    return F.cosine_similarity(truth.flatten(1).double(), translated.flatten(1).double(), dim=1)


def ranks(truth: Tensor, translated: Tensor) -> Tensor:
    """The rank of each translation's true latent among all true ones, by cosine.

    As in vec2vec (Jha et al. 2025, https://arxiv.org/abs/2505.12540): the mean is mean rank, and the share of
    ranks that are 1 is top-1 retrieval accuracy.

    Args:
        truth: ``(n, ...)``.
        translated: Of the same shape.

    Returns:
        float64 ``(n,)``, 1 (best) .. n; by chance ``(n + 1) / 2``. Ties share their mean rank.
    """
    candidates = F.normalize(truth.flatten(1).double(), dim=1)
    similarity = F.normalize(translated.flatten(1).double(), dim=1) @ candidates.T
    own = similarity.diagonal()[:, None]
    return 1 + (similarity > own).double().sum(1) + ((similarity == own).double().sum(1) - 1) / 2


def psnr(truth: Tensor, translated: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of images in 0..1.

    Args:
        truth: ``(n, channels, height, width)``.
        translated: Of the same shape.

    Returns:
        float64 ``(n,)``, decibels, larger is better; 100 for equal images.
    """
    error = (truth.double() - translated.double()).flatten(1).square().mean(1)
    return -10 * error.clamp_min(LEAST_MSE).log10()


def ssim(truth: Tensor, translated: Tensor) -> Tensor:
    """Structural similarity of images in 0..1 (Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861).

    Gaussian window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03; the borders are mirrored, as
    torchmetrics and scikit-image do.

    Args:
        truth: ``(n, channels, height, width)``, at least 6 pixels each way.
        translated: Of the same shape.

    Returns:
        float64 ``(n,)``, -1..1; 1 for equal images.
    """
    x, y = (images.double().flatten(0, 1).unsqueeze(1) for images in (truth, translated))
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = (_blur(x * x) - mean_x.square()).clamp_min(0)
    var_y = (_blur(y * y) - mean_y.square()).clamp_min(0)
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = K1**2, K2**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * structure).view(len(truth), -1).mean(1)


def log_spectral_distance(truth: Tensor, translated: Tensor, *, window: int = 512, hop: int = 128) -> Tensor:
    """Distance of the log power spectra of sounds (Rabiner & Juang 1993, chapter 4).

    Per frame the root mean square over frequencies of the difference in decibels, then the mean over
    frames and channels. Power below -80 dB of a full-scale constant counts as -80 dB.

    Args:
        truth: ``(n, channels, samples)`` in -1..1.
        translated: Of the same shape.
        window: Samples of the Hann window.
        hop: Samples between frames.

    Returns:
        float64 ``(n,)``, decibels, smaller is better; 0 for equal sounds.
    """
    x, y = (_log_power(sound, window, hop) for sound in (truth, translated))
    frames = (x - y).square().mean(1).sqrt().mean(1)
    return frames.view(truth.shape[0], -1).mean(1)


def _blur(images: Tensor) -> Tensor:
    offsets = torch.arange(WINDOW, dtype=images.dtype) - WINDOW // 2
    weights = torch.exp(-(offsets / SIGMA).square() / 2)
    weights = (weights / weights.sum()).to(images.device)
    margin = WINDOW // 2
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def _log_power(sound: Tensor, window: int, hop: int) -> Tensor:
    """Decibels ``(n * channels, frequencies, frames)``."""
    hann = torch.hann_window(window, dtype=torch.float64, device=sound.device)
    sound = F.pad(sound.double().flatten(0, 1), (window // 2, window // 2))
    spectrum = torch.stft(sound, window, hop, window=hann, center=False, return_complex=True) / hann.sum()
    return 10 * spectrum.abs().square().clamp_min(LEAST_POWER).log10()
