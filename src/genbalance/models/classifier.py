"""The reference classifier: a small convolutional network whose penultimate layer is the evaluation's feature space."""

from torch import Tensor, nn

from genbalance.params import ClassifierWidth, Count, Side, checked
from genbalance.runtime.arithmetic import Narrow

FEATURES = 128


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Classifier(nn.Module):
    """Images of any square size to class logits.

    Shapes: standardized pixels [B, 1, S, S] → features [B, 128] (after a ReLU, so ≥ 0) → logits [B, classes].
    """

    @checked
    def __init__(self, size: Side, classes: Count, width: ClassifierWidth) -> None:
        super().__init__()
        # halved twice at once: the depth is at a quarter of the size, where an image costs a CPU a fifth of the time
        self.trunk = nn.Sequential(
            _block(1, width, 5, 2),
            _block(width, 2 * width, 3, 2),
            _block(2 * width, 2 * width, 3, 1),
            _block(2 * width, 2 * width, 3, 1),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        side = -(-size // 4) // 2
        self.penultimate = nn.Sequential(
            nn.Linear(2 * width * side * side, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True)
        )
        self.head = Narrow(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """Penultimate activations [B, 128], ≥ 0."""
        features: Tensor = self.penultimate(self.trunk(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits
