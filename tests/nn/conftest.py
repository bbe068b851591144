"""One thread a worker, so that the workers of a test run do not fight for the cores."""

import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
