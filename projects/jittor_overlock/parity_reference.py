"""Write what PyTorch computes in float64, for parity.py to compare Jittor with.

    python parity_reference.py FOLDER

FOLDER gets weights.safetensors, all of whose tensors are random, and cases: NAME.npz with inputs
`in/...`, results `out/...` and `pytorch_error`, by how much PyTorch's own float32 is off.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiment.errors import largest_error
from experiment.learner import AUX_WEIGHT
from experiment.pytorch_learner import Classifier
from mmoverlock.ops import dynamic_conv2d

WEIGHTS = 'weights.safetensors'
CLASSES = 20
EVALUATED = {'square': (2, 3, 64, 64), 'odd': (1, 3, 72, 104)}
# On 2 × 2 positions of a few pictures a batch norm loses digits, in any framework.
TRAINED = {'training': (4, 3, 96, 96)}
# B, G, H, W, C, K: a map of the window's size, a narrow one and a larger one.
OPERATORS = {
    'operator_7': (1, 2, 7, 7, 4, 7),
    'operator_5': (2, 1, 5, 9, 3, 5),
    'operator_13': (1, 2, 13, 16, 4, 13),
}


def fill(model: torch.nn.Module) -> None:
    """Random values for all parameters and buffers, also for those that start as 0 or 1."""
    torch.manual_seed(0)
    for name, x in model.state_dict().items():
        if name.endswith('running_var'):
            x.uniform_(0.5, 1.5)
        elif x.ndim == 4 and x[0].numel() > 1:
            x.normal_(0, 0.6 / x[0].numel() ** 0.5)
        elif name.endswith('weight'):
            x.normal_(1, 0.1)
        elif x.is_floating_point():
            x.normal_(0, 0.1)


def drawn(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers in float32."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def evaluated(model: Classifier, image: Tensor) -> dict[str, Tensor]:
    """Logits in evaluation mode."""
    with torch.no_grad():
        main, aux = model.eval()(image)
    return {'main': main, 'aux': aux}


def trained(model: Classifier, image: Tensor, grad_main: Tensor, grad_aux: Tensor) -> dict:
    """Logits in training mode, all gradients of Σ main · grad_main + 0.4 · Σ aux · grad_aux, and
    the running statistics that follow."""
    leaf = image.clone().requires_grad_()
    model.zero_grad()
    main, aux = model.train()(leaf)
    ((main * grad_main).sum() + AUX_WEIGHT * (aux * grad_aux).sum()).backward()
    results = {'main': main, 'aux': aux, 'grad image': leaf.grad}
    results |= {f'grad {name}': p.grad for name, p in model.named_parameters()}
    buffers = {f'after {name}': x for name, x in model.named_buffers()}
    return results | {name: x for name, x in buffers.items() if x.is_floating_point()}


def operated(kernels: Tensor, value: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """The operator alone, and both of its gradients."""
    leaves = [x.clone().requires_grad_() for x in (kernels, value)]
    out = dynamic_conv2d(*leaves, backend='reference')
    grad_kernels, grad_value = torch.autograd.grad(out, leaves, grad)
    return {'out': out, 'grad kernels': grad_kernels, 'grad value': grad_value}


def in_both(function, file: Path, weights: Path | None = None, **inputs: Tensor) -> None:
    """Run `function` in float64 and in float32 and write the case."""
    results = []
    for dtype in (torch.float64, torch.float32):
        first = []
        if weights:
            model = Classifier(CLASSES)
            model.load_state_dict(load_file(weights))
            first = [model.to(dtype)]
        found = function(*first, *(x.to(dtype) for x in inputs.values()))
        results.append({name: x.detach().numpy() for name, x in found.items()})
    expected, single = results
    error, _ = largest_error(single, expected)
    case = {f'in/{name}': x.numpy() for name, x in inputs.items()}
    case |= {f'out/{name}': x for name, x in expected.items()}
    np.savez(file, pytorch_error=error, **case)


def write(folder: Path) -> None:
    """Write the cases of the weights that are in the folder."""
    weights = folder / WEIGHTS
    for seed, (name, shape) in enumerate(EVALUATED.items()):
        in_both(evaluated, folder / f'{name}.npz', weights, image=drawn(seed, *shape))
    for name, shape in TRAINED.items():
        grads = dict(grad_main=drawn(4, shape[0], CLASSES), grad_aux=drawn(5, shape[0], CLASSES))
        in_both(trained, folder / f'{name}.npz', weights, image=drawn(3, *shape), **grads)
    for seed, (name, (*maps, channels, size)) in enumerate(OPERATORS.items()):
        logits, value, grad = (drawn(seed, *maps, last) for last in (size**2, channels, channels))
        inputs = dict(kernels=logits.softmax(-1), value=value, grad=grad)
        in_both(operated, folder / f'{name}.npz', **inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    model = Classifier(CLASSES)
    fill(model)
    save_file({name: x.contiguous() for name, x in model.state_dict().items()}, folder / WEIGHTS)
    write(folder)


if __name__ == '__main__':
    main()
