"""Queues for the quotas of Cerebras, so that requests are sent when there is room for them.

`registry` finds the quota of a request, `queue` lets its calls wait, `stores` keep its state,
and `state` is the arithmetic. Nothing here knows of aiohttp or LangChain.
Source: https://inference-docs.cerebras.ai/support/rate-limits
"""
