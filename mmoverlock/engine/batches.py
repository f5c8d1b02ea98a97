"""Where a data loader goes on: the batches that were trained on are left out, not loaded."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader, IterableDataset

# Their order depends on the seed and the epoch alone.
REPEATABLE = {
    'AspectRatioBatchSampler', 'BatchSampler', 'ClassAwareSampler', 'DefaultSampler',
    'InfiniteSampler', 'RepeatAugSampler', 'SequentialSampler',
}  # fmt: skip


class RestOfBatches:
    """A batch sampler that leaves out the first `skip` batches, once.

    Only their indices are computed: no image of them is read.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.skip = 0

    def __iter__(self) -> Iterator[list[int]]:
        # When the first is asked for: data loaders make iterators that they do not use.
        skip, self.skip = self.skip, 0
        yield from islice(self.batches, skip, None)

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name == 'batches':  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.batches, name)


def skip_batches(dataloader: DataLoader, skip: int) -> Iterator[Any]:
    """Iterate over a data loader's batches from number `skip` on."""
    indices = dataloader.batch_sampler
    if indices is None or isinstance(dataloader.dataset, IterableDataset):
        return islice(dataloader, skip, None)
    if not isinstance(indices, RestOfBatches):
        indices = RestOfBatches(indices)
        object.__setattr__(dataloader, 'batch_sampler', indices)  # a DataLoader refuses it
    indices.skip = skip
    return iter(dataloader)


def samplers(dataloader: DataLoader) -> list[Any]:
    """What decides on the order of the images: a batch sampler, if any, and its sampler."""
    batches = dataloader.batch_sampler
    if isinstance(batches, RestOfBatches):
        batches = batches.batches
    if batches is None:
        return [dataloader.sampler]
    return [batches, getattr(batches, 'sampler', dataloader.sampler)]


def repeatable(dataloader: DataLoader) -> bool:
    """Whether the order of the images is known to depend on the seed and the epoch alone."""
    return all(type(sampler).__name__ in REPEATABLE for sampler in samplers(dataloader))
