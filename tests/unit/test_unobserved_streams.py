"""langchain-core still has the methods that the streams without handlers were written for."""

import pytest
from langchain_core.language_models import BaseChatModel

from langchain_cerebras_inference import _unobserved_streams


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_installed_langchain_core_has_the_known_method(method: str) -> None:
    checksum = _unobserved_streams.compute_checksum(getattr(BaseChatModel, method))

    assert checksum == _unobserved_streams.KNOWN_CODE[method], (
        "langchain-core has changed this method, and now all streams use it. Compare it with"
        " `ChatCerebrasInference`, and update the checksum."
    )
