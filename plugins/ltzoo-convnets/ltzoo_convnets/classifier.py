"""A small convolutional classifier: what the judges are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from torch import Tensor, nn

from ltzoo.records import Record

__all__ = ["ClassifierShape", "ConvClassifier"]

Size = Annotated[int, Meta(ge=1, le=4096)]


@dataclass(frozen=True, kw_only=True)
class ClassifierShape(Record):
    """What the network's layers depend on.

    Attributes:
        image: Channels, height and width of one image.
        classes: Number of classes.
        width: Channels of the first layer; doubled after each of the two poolings.
    """

    image: tuple[Size, Size, Size]
    classes: Size
    width: Size


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class ConvClassifier(nn.Module):
    """Five convolutions with batch norm, two max-poolings, average pooling, one hidden layer.

    Built unlike the VAE's encoder (plain ReLU, batch norm, pooling in place of strides), so that what
    a judge overlooks is not what the encoder overlooks.
    """

    features_size = 128

    def __init__(self, shape: ClassifierShape, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.shape = shape
        w = shape.width
        self.body = nn.Sequential(
            _block(shape.image[0], w),
            nn.MaxPool2d(2),
            _block(w, 2 * w),
            _block(2 * w, 2 * w),
            nn.MaxPool2d(2),
            _block(2 * w, 4 * w),
            _block(4 * w, 4 * w),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(16 * w, self.features_size),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.features_size, shape.classes))

    def features(self, x: Tensor) -> Tensor:
        """Activations before the last layer, ``(batch, 128)``."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
