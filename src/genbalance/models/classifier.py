"""The reference classifier: a small convolutional network whose penultimate layer is the evaluation's feature space."""

from collections.abc import Sequence

from torch import Tensor, nn

from genbalance.data.stacked import CHANNELS, CLASSES, DIGITS
from genbalance.params import ClassifierWidth, Count, ImageShape, checked
from genbalance.runtime.arithmetic import Narrow

FEATURES = 128


def turns(shape: Sequence[int]) -> tuple[int, ...]:
    """The turns in degrees after which images of ``shape`` [C, H, W] have their shape again: four of a square, two of a
    rectangle (Gidaris et al. 2018, arXiv:1803.07728)."""
    return (0, 90, 180, 270) if shape[1] == shape[2] else (0, 180)


def turned(images: Tensor, degrees: int) -> Tensor:
    """Images [B, C, H, W], turned counterclockwise by a multiple of 90 degrees."""
    return images.rot90(degrees // 90, (2, 3))


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _ThreeDigits(nn.Module):
    """Features [B, 3·128] of three digits to logits [B, 1000] of the numbers 100·first + 10·second + third.

    A logit is the sum of the digits' log-probabilities. So softmax gives the product of their three probabilities, and
    the cross-entropy is the sum of their three.
    """

    def __init__(self) -> None:
        super().__init__()
        self.digit = Narrow(FEATURES, DIGITS)
        self.out_features = CLASSES

    def forward(self, features: Tensor) -> Tensor:
        dataset = self.digit(features.reshape(-1, FEATURES)).log_softmax(dim=1)
        first, second, third = dataset.unflatten(0, (-1, CHANNELS)).unbind(dim=1)
        numbers: Tensor = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        return numbers.flatten(1)


class Classifier(nn.Module):
    """Images of any size to class logits.

    Shapes: standardized pixels [B, C, H, W], (C, H, W) = ``shape``, → features [B, 128] (after a ReLU, so ≥ 0) → logits
    [B, classes].

    A ``stacked`` one reads images whose three channels are a digit each. It is a classifier of ten digits, applied to
    each channel alone: [B, 3, H, W] → features [B, 3·128], one channel's after another's → logits [B, 1000].

    Where ``rotations``, it was trained on images without classes, and its outputs are :func:`turns`.

    Raises:
        ValueError: it is ``stacked`` and has other than three channels or 1000 classes.
    """

    @checked
    def __init__(
        self, shape: ImageShape, classes: Count, width: ClassifierWidth, stacked: bool = False, rotations: bool = False
    ) -> None:
        super().__init__()
        self.classes = 0 if rotations else classes  # that it reads in images
        channels, *sides = shape
        if stacked and (channels, classes) != (CHANNELS, CLASSES):
            raise ValueError(
                f"found {channels} channels and {classes} classes; allowed with stacked: {CHANNELS} and {CLASSES}"
            )
        self.stacked = stacked
        # halved twice at once: the depth is at a quarter of the size, where an image costs a CPU a fifth of the time
        self.trunk = nn.Sequential(
            _block(1 if stacked else channels, width, 5, 2),
            _block(width, 2 * width, 3, 2),
            _block(2 * width, 2 * width, 3, 1),
            _block(2 * width, 2 * width, 3, 1),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        height, wide = (-(-side // 4) // 2 for side in sides)
        self.penultimate = nn.Sequential(
            nn.Linear(2 * width * height * wide, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True)
        )
        self.head = _ThreeDigits() if stacked else Narrow(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """Penultimate activations, ≥ 0: [B, 128], or [B, 3·128] of stacked images."""
        if self.stacked:
            return self._of_digits(images.flatten(0, 1)[:, None]).reshape(len(images), -1)
        return self._of_digits(images)

    def _of_digits(self, images: Tensor) -> Tensor:
        """Penultimate activations [B, 128] of images of one digit."""
        features: Tensor = self.penultimate(self.trunk(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits
