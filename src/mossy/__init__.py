"""mossy: a short-term and a long-term memory made of synapses."""

__version__ = "0.1.0"
__all__ = ["__version__"]
