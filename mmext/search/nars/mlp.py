"""The paper's predictor: an encoder of the architecture, and heads for the score and for proxies.

The score is predicted from the architecture's embedding and the recipe. Proxies (FLOPs, weights)
follow from the architecture alone and cost no training of candidates, so the encoder may learn
from thousands of them first.

Letters   N candidates, F features, P proxies
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

EPOCHS = 300
RATE = 2e-3


def layers(inner: int, *sizes: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with ReLU and dropout between them."""
    parts: list[nn.Module] = []
    for size in sizes:
        parts += [nn.Linear(inner, size), nn.ReLU(), nn.Dropout(dropout)]
        inner = size
    return nn.Sequential(*parts[:-2])


class Perceptron:
    """Encoder 256-128-24, head 256-128-1 on embedding and recipe, Huber loss.

    Args:
        architecture: which features belong to the architecture; all others are the recipe.
        seed: of weights and dropout.
        epochs: steps over all results at once.
    """

    def __init__(
        self, architecture: Bool[np.ndarray, " F"], *, seed: int = 0, epochs: int = EPOCHS
    ) -> None:
        self.architecture, self.seed, self.epochs = np.asarray(architecture, bool), seed, epochs
        inner = int(self.architecture.sum())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = layers(inner, 256, 128, 24, dropout=0.2)
            self.head = layers(24 + len(self.architecture) - inner, 256, 128, 1)

    def pretrain(
        self, X: Float[np.ndarray, "N F"], proxies: Float[np.ndarray, "N P"]
    ) -> "Perceptron":
        """Teach the encoder what architectures cost, which is known without training any."""
        target = torch.from_numpy((proxies - proxies.mean(0)) / (proxies.std(0) + 1e-12)).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 1)
            head = nn.Linear(24, target.shape[1])
            inner = self._split(X)[0]
            modules = nn.ModuleList([self.encoder, head])
            self._descend(modules, lambda: head(self.encoder(inner)), target)
        return self

    def fit(self, X: Float[np.ndarray, "N F"], y: Float[np.ndarray, " N"]) -> "Perceptron":
        """Learn the score; goes on from where :meth:`pretrain` ended."""
        self.mean, self.scale = float(y.mean()), float(y.std()) + 1e-12
        target = torch.from_numpy((y - self.mean) / self.scale).float()[:, None]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + 2)
            parts = self._split(X)
            modules = nn.ModuleList([self.encoder, self.head])
            self._descend(modules, lambda: self._score(*parts), target)
        return self

    @torch.no_grad()
    def predict(self, X: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        """Predicted scores."""
        self.encoder.eval()
        scores = self._score(*self._split(X))[:, 0]
        return self.mean + self.scale * scores.double().numpy()

    def _split(self, X: np.ndarray) -> tuple[Tensor, Tensor]:
        both = X[:, self.architecture], X[:, ~self.architecture]
        # Genes lie in [0, 1]; layers learn better from numbers around zero.
        return tuple(torch.from_numpy(2 * one - 1).float() for one in both)  # type: ignore[return-value]

    def _score(self, architecture: Tensor, recipe: Tensor) -> Tensor:
        return self.head(torch.cat([self.encoder(architecture), recipe], dim=1))

    def _descend(self, modules: nn.Module, predict: Any, target: Tensor) -> None:
        # DEVIATION: Adam; plain SGD at the port's rate of 1e-3 needs thousands of epochs for a few
        # dozen results.
        optimiser = torch.optim.Adam(modules.parameters(), lr=RATE, weight_decay=1e-4)
        modules.train()
        for _ in range(self.epochs):
            optimiser.zero_grad()
            nn.functional.smooth_l1_loss(predict(), target).backward()
            optimiser.step()
