"""Compare Jittor's results and gradients with those that parity_reference.py wrote.

    python parity.py FOLDER

Prints the largest error of each case, relative to the largest magnitude of its array, and ends with
exit code 1 if one is above 1e-4. Jittor's results are left in FOLDER/jittor.
"""

import argparse
import sys
from pathlib import Path

import jittor as jt
import numpy as np

from experiment.errors import largest_error
from experiment.learner import AUX_WEIGHT
from jittor_overlock import OverLoCK, dynamic_conv2d, load_weights

ALLOWED = 1e-4


def operated(kernels: jt.Var, value: jt.Var, grad: jt.Var) -> dict[str, jt.Var]:
    """The operator alone, and both of its gradients."""
    out = dynamic_conv2d(kernels, value)
    grad_kernels, grad_value = jt.grad((out * grad).sum(), [kernels, value])
    return {'out': out, 'grad kernels': grad_kernels, 'grad value': grad_value}


def evaluated(model: OverLoCK, image: jt.Var) -> dict[str, jt.Var]:
    """Logits in evaluation mode."""
    model.eval()
    main, aux = model(image)
    return {'main': main, 'aux': aux}


def trained(
    model: OverLoCK, image: jt.Var, grad_main: jt.Var, grad_aux: jt.Var
) -> dict[str, jt.Var]:
    """Logits in training mode, all gradients, and the running statistics that follow."""
    model.train()
    main, aux = model(image)
    loss = (main * grad_main).sum() + AUX_WEIGHT * (aux * grad_aux).sum()
    state = model.state_dict()
    parameters = {name: x for name, x in state.items() if not x.is_stop_grad()}
    grads = jt.grad(loss, [image, *parameters.values()])
    results = {'main': main, 'aux': aux}
    results |= {f'grad {n}': x for n, x in zip(('image', *parameters), grads, strict=True)}
    return results | {f'after {n}': x for n, x in state.items() if n not in parameters}


def results_of(case: dict[str, np.ndarray], weights: Path) -> dict[str, np.ndarray]:
    """What Jittor computes of a case's inputs."""
    inputs = {n.removeprefix('in/'): jt.array(x) for n, x in case.items() if n.startswith('in/')}
    if 'kernels' in inputs:
        results = operated(**inputs)
    else:
        model = OverLoCK('xxt', case['out/main'].shape[1])
        load_weights(model, weights)
        results = (trained if 'grad_main' in inputs else evaluated)(model, **inputs)
    return {name: x.numpy() for name, x in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    folder = parser.parse_args().folder
    files = sorted(folder.glob('*.npz'))
    if not files:
        parser.error(f'folder {folder}: it holds no cases (parity_reference.py writes them)')
    (folder / 'jittor').mkdir(exist_ok=True)
    errors = []
    print('| case | arrays | largest error | of | PyTorch in float32 |\n|---|---|---|---|---|')
    for file in files:
        case = dict(np.load(file))
        results = results_of(case, folder / 'weights.safetensors')
        np.savez(folder / 'jittor' / file.name, **results)
        expected = {n.removeprefix('out/'): x for n, x in case.items() if n.startswith('out/')}
        error, name = largest_error(results, expected)
        errors.append(error)
        row = file.stem, len(expected), f'{error:.1e}', name, f'{case["pytorch_error"]:.1e}'
        print(f'| {" | ".join(map(str, row))} |', flush=True)
    if not max(errors) <= ALLOWED:
        sys.exit(f'largest error {max(errors):.1e}: at most {ALLOWED:g} is allowed')


if __name__ == '__main__':
    main()
