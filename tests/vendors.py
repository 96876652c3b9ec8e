"""What torch leaves to MKL, which has it otherwise for each vendor's processors."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# other approximations, and batched products, one of which is in torch's affine_grid
VENDORS_OWN = {"exp", "log", "log2", "log10", "sqrt", "erf", "erfc", "erfinv", "atan", "acos", "asin", "tan"}
VENDORS_OWN |= {"bmm", "baddbmm", "mv", "addmv", "dot", "affine_grid_generator", "einsum", "cdist", "_cdist_forward"}
VENDORS_OWN |= {"logsumexp"}  # whose exp and log no mode shows
HEADS = {1, 10}  # outputs of D and of the classifier: MKL's products of so few columns are each vendor's own, too


class Recorder(TorchDispatchMode):
    """Keeps the names of all operations, of those on float32 again, and how many rows and columns matrix products
    have."""

    def __init__(self):
        super().__init__()
        self.names, self.of_float32, self.sides = set(), set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        plain = name.rstrip("_").removeprefix("_foreach_")
        given = [it for each in args for it in (each if isinstance(each, list | tuple) else [each])]
        tensors = [it for it in given if isinstance(it, torch.Tensor)]
        if name == "matmul" and any(it.dim() != 2 for it in tensors):  # as it is called in inference mode
            plain = "bmm"
        if plain.startswith("pow") and args[1:] == (0.5,):
            plain = "sqrt"
        self.names.add(plain)
        if any(it.dtype == torch.float32 for it in tensors):
            self.of_float32.add(plain)
        if name in ("mm", "addmm"):
            left, right = args[-2:]
            self.sides |= {left.shape[0], right.shape[1]}
        return func(*args, **(kwargs or {}))
