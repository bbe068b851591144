"""One thread a worker, so that workers do not fight for the cores; and the same numbers in every run."""

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
