"""FreeLLMAPI: one OpenAI-compatible endpoint over the free tiers of many providers."""

__version__ = "0.1.0"
