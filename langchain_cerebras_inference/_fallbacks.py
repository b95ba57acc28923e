"""Whether this package may use private names of other libraries.

It uses them where there is no public way, or where that is much slower. Each use detects at
import whether the names are there, and else does without them. The variable
`CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY` makes every use do without them; tests set it.
"""

from __future__ import annotations

import os

PRIVATE_NAMES_ALLOWED = not os.environ.get("CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY")
