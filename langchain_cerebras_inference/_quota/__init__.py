"""Queues for the quotas of Cerebras: a request is sent when its quota allows it.

`registry` finds the quota of a request, `queue` contains the calls that wait for it, `stores`
keep its state, and `state` is the arithmetic. These modules do not use aiohttp or LangChain.
Source: https://inference-docs.cerebras.ai/support/rate-limits
"""
