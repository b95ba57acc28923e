"""The tests of clusters need the dependency group `scale`; without it, none is collected."""

from importlib.util import find_spec

if find_spec("psutil") is None:
    collect_ignore_glob = ["test_*.py"]
