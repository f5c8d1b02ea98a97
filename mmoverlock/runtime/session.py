"""An exported file, opened with ONNX Runtime: arrays in, arrays by name out."""

import os
from pathlib import Path

import numpy as np

from .spec import INPUT, KEY, OUTPUTS, Spec

SUFFIX = '.onnx'
INSTALL = 'pip install onnxruntime'
_PROVIDERS = ('CUDAExecutionProvider', 'CPUExecutionProvider')  # the best first
_DTYPES = {'tensor(float)': np.float32, 'tensor(float16)': np.float16, 'tensor(uint8)': np.uint8}


class Session:
    """A file that :command:`mmoverlock export` wrote.

    Args:
        path: The ONNX file.
        threads: Of ONNX Runtime; by default its own choice, all cores.

    Raises:
        ValueError: ONNX Runtime is missing; or the file is, or is damaged, no ONNX, or not from
            mmoverlock.

    Attributes:
        spec: What the file says about itself.
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None):
        self.path = Path(path)
        if threads is not None and threads < 1:
            raise ValueError(f'threads={threads}: at least 1 is needed')
        if Path(path).suffix.lower() != SUFFIX:
            raise ValueError(f"model '{path}' does not end in {SUFFIX}: only ONNX files are run")
        if not Path(path).is_file():
            raise ValueError(f"model '{path}' does not exist")
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(f"model '{path}' needs ONNX Runtime: {INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised
        options.intra_op_num_threads = threads or 0
        available = onnxruntime.get_available_providers()
        providers = [one for one in _PROVIDERS if one in available]
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=providers
            )
        except Exception as error:  # it has a dozen, without a common base
            reason = str(error).splitlines()[0]
            raise ValueError(f"model '{path}' is damaged, or no ONNX file: {reason}") from error
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise ValueError(
                f"model '{path}' says nothing about its classes and preprocessing: it was not "
                'written by "mmoverlock export"'
            )
        try:
            self.spec = Spec.from_json(text)
            self._check()
        except ValueError as error:
            raise ValueError(f"model '{path}': {error}") from error

    def _check(self) -> None:
        inputs = {one.name: one.type for one in self._session.get_inputs()}
        self.outputs = tuple(one.name for one in self._session.get_outputs())
        if list(inputs) != [INPUT] or inputs[INPUT] not in _DTYPES:
            raise ValueError(f"its inputs are {inputs}, expected is one, '{INPUT}'")
        self._dtype = _DTYPES[inputs[INPUT]]
        if self.spec.task not in OUTPUTS:
            raise ValueError(f"its task '{self.spec.task}' is none of {[*OUTPUTS]}")
        needed = set(OUTPUTS[self.spec.task]) - {'masks', 'logits'}
        if needed - set(self.outputs):
            raise ValueError(f'its outputs are {[*self.outputs]}, {sorted(needed)} are needed')

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """
        Args:
            image: (H, W, C), after the steps that stand before the graph.

        Returns:
            The outputs for this picture, by name, without the dimension of the batch.

        Raises:
            ValueError: the file does not take this height and width.
        """
        for side, (least, most), name in zip(
            image.shape, self.spec.sizes, ('height', 'width'), strict=False
        ):
            if not least <= side <= most:
                allowed = f'{least}' if least == most else f'{least} to {most}'
                raise ValueError(
                    f'its {name} is {side} after preprocessing, but the model takes {allowed}'
                )
        batch = np.repeat(image.transpose(2, 0, 1)[None], self.spec.batch[0], 0)
        batch = np.ascontiguousarray(batch, self._dtype)
        found = self._session.run(None, {INPUT: batch})
        return {name: value[0] for name, value in zip(self.outputs, found, strict=True)}
