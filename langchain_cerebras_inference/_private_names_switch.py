"""Whether this package may use private names of other libraries.

This switch is for the private names of aiohttp and asyncio (`_http/private_names.py`), of
pydantic (`_conversion/chunks.py`), and for the code of langchain-core that
`_unobserved_streams.py` replaces. These names are used because there is no public way, or the
public way is much slower. Each of these uses has a fallback, in case an installed version does
not have the name. Tests set the environment variable `CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY` so
that only the fallbacks are used. CONTRIBUTING.md also lists the private names without a switch.
"""

from __future__ import annotations

import os

PRIVATE_NAMES_ALLOWED = not os.environ.get("CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY")
