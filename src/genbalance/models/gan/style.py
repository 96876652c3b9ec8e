"""The style-based GAN (Karras et al. 2019, arXiv:1812.04948; 2020, arXiv:1912.04958).

A mapping network makes of z a vector w. Affine maps of w, the styles, scale the channels that enter each convolution of
the synthesis network, which starts from a learned constant and adds an image at each size. The discriminator is
residual and sees how much the images of a group differ.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

from genbalance.models.gan.dcgan import AFFORDABLE, halving, sides

W = 64  # units of w
DEPTH = 3  # layers of the mapping network
STYLE_RATE = 8.0  # of the affine maps (see `Equalised`): √W, so that they learn as fast as an ordinary layer
MAPPING_RATE = 2.0  # of the mapping network: slower, as in the papers, which train a thousand times as long
MEAN_DECAY = 0.995  # of the running mean of w, a step
MIXED = 0.5  # share of the images of a training batch whose finer layers follow another w
GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU, nearly
SLOPE = 0.2  # of the leaky ReLU
GROUP = 4  # images whose deviation the discriminator sees
TINY = 1e-8


class Equalised(nn.Linear):
    """A linear layer with equalised learning rate (Karras et al. 2018, arXiv:1710.10196, section 4.1): its weights are
    N(0, 1) / ``rate`` and are scaled by ``rate`` / √inputs when they are used, so that Adam, whose steps do not depend
    on the gradient's size, changes the layer at ``rate`` times the learning rate whatever its width."""

    def __init__(self, inputs: int, outputs: int, rate: float, bias: float = 0.0) -> None:
        super().__init__(inputs, outputs)
        self.rate = rate
        nn.init.normal_(self.weight, std=1 / rate)
        nn.init.constant_(self.bias, bias / rate)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, inputs] → [B, outputs]."""
        return linear(inputs, self.weight * (self.rate / math.sqrt(self.in_features)), self.bias * self.rate)


class Mapping(nn.Module):
    """z and one-hot conditions [B, sum(inputs)] → w [B, W]; each of the two is first brought to the same norm."""

    def __init__(self, inputs: Sequence[int]) -> None:
        super().__init__()
        self.inputs = [count for count in inputs if count]
        widths = [sum(inputs), *[W] * DEPTH]
        self.layers = nn.ModuleList(Equalised(widths[i], widths[i + 1], MAPPING_RATE) for i in range(DEPTH))

    def forward(self, inputs: Tensor) -> Tensor:
        """w [B, W] in the inputs' precision, also where products are taken in bf16."""
        size = sum(self.inputs) / len(self.inputs)  # mean square 1 of all inputs together
        parts = inputs.split(self.inputs, dim=1)
        w = torch.cat([part * torch.rsqrt(part.square().sum(dim=1, keepdim=True) / size + TINY) for part in parts], 1)
        for layer in self.layers:
            w = leaky_relu(layer(w), SLOPE) * GAIN
        return w.to(inputs.dtype)


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose outputs, with ``demodulate``, are divided by
    the deviation that they have where the inputs are independent with variance 1 (2020, equations 1 to 3).

    The paper scales the weights for each image. Here the same function is computed with shared weights: the inputs
    are scaled before and the outputs after the convolution, which a CPU does in one call for a batch.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: 3 or 1, which keep the size; 4: a transposed convolution, which doubles it.
        demodulate: divides as said; an image is made without.
        gain: the outputs' deviation then.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, demodulate: bool = True, gain: float = 1.0) -> None:
        super().__init__()
        self.up, self.demodulate, self.padding, self.gain = kernel == 4, demodulate, int(kernel > 1), gain
        channels = (inputs, outputs) if self.up else (outputs, inputs)
        self.weight = nn.Parameter(torch.empty(*channels, kernel, kernel))
        self.products = inputs * kernel**2 // (4 if self.up else 1)  # that an output is the sum of
        # an image starts where the tanh behind the sum over all sizes is not flat
        nn.init.normal_(self.weight, std=(1 if demodulate else 0.4) / math.sqrt(self.products))
        self.affine = Equalised(W, inputs, STYLE_RATE, bias=1.0)

    def forward(self, pictures: Tensor, w: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, H, W], or of twice the sides."""
        style = self.affine(w)
        scaled = pictures * style[:, :, None, None]
        if self.up:
            convolved = conv_transpose2d(scaled, self.weight, stride=2, padding=1)
        else:
            convolved = conv2d(scaled, self.weight, padding=self.padding)
        return convolved * self.factor(style)[:, :, None, None] if self.demodulate else convolved

    def factor(self, style: Tensor) -> Tensor:
        """gain / deviation of each output [B, outputs] at a style [B, inputs]; of a transposed convolution, of whose
        weights each output sees a quarter, on the mean over these quarters."""
        power = self.weight.square().sum(dim=(2, 3))
        power = power.T / 4 if self.up else power
        return self.gain * torch.rsqrt(linear(style.square(), power) + TINY)


class Layer(nn.Module):
    """A modulated convolution, noise for each pixel with a learned strength, a bias and a leaky ReLU.

    In training the noise is drawn anew; in evaluation it is a constant, so that z alone decides the image.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], up: bool) -> None:
        super().__init__()
        self.size = size
        self.convolution = Modulated(inputs, outputs, 4 if up else 3, gain=GAIN)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.register_buffer("noise", torch.randn(1, 1, *size))

    def forward(self, pictures: Tensor, w: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, *size]."""
        height, width = self.size
        convolved = self.convolution(pictures, w)[..., :height, :width]
        noise = torch.randn_like(convolved[:, :1]) if self.training else self.noise
        shift = self.bias + self.strength * noise
        return leaky_relu(convolved + shift.to(convolved.dtype), SLOPE, inplace=True)


class Synthesis(nn.Module):
    """w for each layer → images: a learned constant, layers from the smallest size up, and at each size an image by a
    1 × 1 convolution, which is added to that of the size before, enlarged (2020, figure 7b)."""

    kernel: Tensor

    def __init__(self, shape: Sequence[int], width: int) -> None:
        super().__init__()
        colours, *whole = shape
        self.sizes = list(reversed(sides(*whole)))
        channels = [width * 2**place for place in reversed(range(len(self.sizes) - 1))] + [max(1, width // 4)]
        self.constant = nn.Parameter(torch.randn(1, channels[0], *self.sizes[0]))
        self.layers, self.images = nn.ModuleList(), nn.ModuleList()
        self.last: list[int] = []  # of the layers of each size
        for place, (size, outputs) in enumerate(zip(self.sizes, channels, strict=True)):
            if place:
                self.layers.append(Layer(channels[place - 1], outputs, size, up=True))
            if not place or (size != self.sizes[-1] and max(size) <= AFFORDABLE):
                self.layers.append(Layer(outputs, outputs, size, up=False))
            self.last.append(len(self.layers) - 1)
            self.images.append(Modulated(outputs, colours, 1, demodulate=False))
        self.bias = nn.Parameter(torch.zeros(colours, 1, 1))
        line = (0.25, 0.75, 0.75, 0.25)  # linear interpolation at twice the resolution
        kernel = torch.tensor([[row * column for column in line] for row in line])
        self.register_buffer("kernel", kernel.expand(colours, 1, 4, 4).clone())

    def forward(self, styles: Sequence[Tensor]) -> Tensor:
        """Images [B, C, H, W] in (−1, 1) of one w [B, W] for each layer; an image follows the last of its size."""
        pictures, images = self.constant, self.bias
        for place, (layer, w) in enumerate(zip(self.layers, styles, strict=True)):
            pictures = layer(pictures, w)
            if place in self.last:
                size = self.last.index(place)
                before = self._enlarged(images, *self.sizes[size]) if size else images
                images = before + self.images[size](pictures, w)
        return images.tanh()

    def _enlarged(self, images: Tensor, height: int, width: int) -> Tensor:
        doubled = conv_transpose2d(images, self.kernel, stride=2, padding=1, groups=len(self.kernel))
        return doubled[..., :height, :width]


class StyleGenerator(nn.Module):
    """z and one-hot conditions → images.

    In training, a share of a batch has styles mixed: its finer layers follow the w of another z of the batch and of its
    own condition, from a random layer on. In evaluation, w is drawn towards its running mean in training by the factor
    ``truncation`` (2019, appendix B); 1 changes nothing.

    Args:
        inputs: numbers of latents and of conditions.
        shape: [C, H, W] of an image.
        width: channels at half the full side, twice as many at each further halving, a quarter at the full side.
    """

    mean: Tensor

    def __init__(self, inputs: Sequence[int], shape: Sequence[int], width: int) -> None:
        super().__init__()
        self.latents, self.truncation = inputs[0], 1.0
        self.mapping = Mapping(inputs)
        self.synthesis = Synthesis(shape, width)
        self.register_buffer("mean", torch.zeros(W))

    def forward(self, inputs: Tensor) -> Tensor:
        """Images [B, C, H, W] in (−1, 1) of z and conditions [B, sum(inputs)]."""
        w, layers = self.mapping(inputs), len(self.synthesis.layers)
        if not self.training:
            return self._drawn([self._truncated(w)] * layers)
        with torch.no_grad():
            self.mean.lerp_(w.mean(dim=0), 1 - MEAN_DECAY)
        z, conditions = inputs[:, : self.latents], inputs[:, self.latents :]
        other = self.mapping(torch.cat([z.roll(1, dims=0), conditions], dim=1))
        change = torch.randint(1, layers, (len(w), 1), device=w.device)
        change = change.masked_fill(torch.rand(len(w), 1, device=w.device) >= MIXED, layers)
        return self._drawn([torch.where(change > layer, w, other) for layer in range(layers)])

    def mix(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Images [B, C, H, W] in (−1, 1) whose coarser half of layers follows the inputs ``coarse`` [B, sum(inputs)]
        and whose finer half follows ``fine``, as in evaluation."""
        first, second = (self._truncated(self.mapping(inputs)) for inputs in (coarse, fine))
        half = len(self.synthesis.layers) // 2
        return self._drawn([first] * half + [second] * (len(self.synthesis.layers) - half))

    def _drawn(self, styles: Sequence[Tensor]) -> Tensor:
        images: Tensor = self.synthesis(styles)
        return images

    def _truncated(self, w: Tensor) -> Tensor:
        return torch.lerp(self.mean, w, self.truncation)


class GroupDeviation(nn.Module):
    """Adds a channel with the deviation over groups of up to four images, averaged over channels and pixels: whether
    images of a batch are alike (Karras et al. 2018, section 3). Images next to one another are a group; of a batch that
    four does not divide, groups have as many images as its largest divisor below four."""

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C + 1, H, W]."""
        count, _, height, width = pictures.shape
        size = max(divisor for divisor in range(1, GROUP + 1) if count % divisor == 0)
        groups = pictures.unflatten(0, (-1, size))
        deviation = (groups.var(dim=1, correction=0) + TINY).sqrt().mean(dim=(1, 2, 3))
        channel = deviation[:, None].expand(-1, size).flatten()
        return torch.cat([pictures, channel[:, None, None, None].expand(-1, -1, height, width)], dim=1)


class Halved(nn.Module):
    """A residual block that halves both sides: a 3 × 3 convolution, where the picture is small enough for one, and a
    strided one, beside a 1 × 1 convolution of the averaged picture."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        kernel, stride = halving(*size)
        own = (
            [nn.Conv2d(inputs, inputs, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)]
            if max(size) <= AFFORDABLE
            else []
        )
        self.branch = nn.Sequential(
            *own, nn.Conv2d(inputs, outputs, kernel, stride, padding=1), nn.LeakyReLU(SLOPE, inplace=True)
        )
        self.short = nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, H // 2, W // 2]."""
        halved: Tensor = (self.branch(pictures) + self.short(pictures)) / GAIN
        return halved


def style_trunk(shape: Sequence[int], width: int) -> tuple[nn.Module, int]:
    """Images → features, and their number: a strided convolution, residual blocks, the deviation of groups, and one
    more strided convolution, with ``width`` channels at half the side, twice as many at each further halving."""
    colours, height, wide = shape
    layers: list[nn.Module] = []
    inputs, outputs, last = colours, width, len(sides(height, wide)) - 1
    for place in range(last + 1):
        kernel, stride = halving(height, wide)
        if 0 < place < last:
            layers.append(Halved(inputs, outputs, (height, wide)))
        else:
            layers += [GroupDeviation()] if place else []
            layers += [
                nn.Conv2d(inputs + bool(place), outputs, kernel, stride, padding=1),
                nn.LeakyReLU(SLOPE, inplace=True),
            ]
        inputs, outputs = outputs, 2 * outputs
        height, wide = max(1, height // 2), max(1, wide // 2)
    return nn.Sequential(*layers, nn.Flatten()), inputs * height * wide
