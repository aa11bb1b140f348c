"""The prior that a VAE's samples are drawn from: a Gaussian mixture fitted to its latents after training.

Training pulls the posteriors towards N(0, I), but their sum over a data set never fills it: most draws
from N(0, I) lie where no image does. A mixture fitted to the sum afterwards gives draws that do
("ex-post density estimation", Ghosh et al. 2020, From Variational to Deterministic Autoencoders).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["GaussianMixture", "fit_mixture"]

VARIANCE_FLOOR = 1e-3


class GaussianMixture(nn.Module):
    """Gaussians with full covariances. The standard normal until it is fitted.

    Args:
        components: Number of Gaussians.
        dims: Dims of one draw.
    """

    def __init__(self, components: int, dims: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, dims))
        self.register_buffer("factors", torch.eye(dims).repeat(components, 1, 1))
        self.weights: Tensor
        self.means: Tensor
        self.factors: Tensor  # Cholesky factors of the covariances, lower triangular.

    def log_likelihoods(self, z: Tensor) -> Tensor:
        """Log of weight times density, ``(batch, components)``, of points ``(batch, dims)``."""
        columns = []
        for weight, mean, factor in zip(self.weights, self.means, self.factors, strict=True):
            white = torch.linalg.solve_triangular(factor, (z - mean).T, upper=False)
            columns.append(weight.log() - factor.diagonal().log().sum() - white.square().sum(0) / 2)
        return torch.stack(columns, 1) - z.shape[1] * math.log(2 * math.pi) / 2

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` draws ``(n, dims)``; the generator is the CPU's."""
        component = torch.multinomial(self.weights.cpu(), n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], 1, generator=generator)
        component, noise = component.to(self.means.device), noise.to(self.means.device)
        return self.means[component] + (self.factors[component] @ noise).squeeze(2)


@torch.no_grad()
def fit_mixture(mixture: GaussianMixture, z: Tensor, *, steps: int = 25) -> float:
    """Fits the mixture in place, by expectation maximisation from a k-means start.

    Args:
        mixture: What to fit.
        z: Points ``(n, dims)``.
        steps: Rounds of expectation maximisation.

    Returns:
        The mean log likelihood of the points, in nats.
    """
    components = len(mixture.weights)
    means = z[torch.randperm(len(z))[:components]].clone()
    for _ in range(10):
        nearest = torch.cdist(z, means).argmin(1)
        for k in nearest.unique().tolist():
            means[k] = z[nearest == k].mean(0)
    shares = nn.functional.one_hot(torch.cdist(z, means).argmin(1), components).float()
    floor = VARIANCE_FLOOR * torch.eye(z.shape[1])
    for _ in range(steps):
        counts = shares.sum(0).clamp(min=1e-3)
        mixture.weights.copy_(counts / counts.sum())
        mixture.means.copy_(shares.T @ z / counts[:, None])
        for k in range(components):
            centred = z - mixture.means[k]
            covariance = (centred * shares[:, k : k + 1]).T @ centred / counts[k]
            mixture.factors[k] = torch.linalg.cholesky(covariance + floor)
        joint = mixture.log_likelihoods(z)
        shares = joint.softmax(1)
    return joint.logsumexp(1).mean().item()
