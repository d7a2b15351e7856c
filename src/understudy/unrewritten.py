"""Have pytest take our modules as Python has compiled them; the plugin imports this before all others.

pytest rewrites the assertions of every module of a package that brings a plugin. Ours tell no test anything, and what
pytest makes of them takes several times as long to read, or is made anew in each run where it may not be kept.
"""

from __future__ import annotations

import sys

for _finder in sys.meta_path:
    _marked = getattr(_finder, "_must_rewrite", None)  # pytest's, and nobody else's
    if isinstance(_marked, set) and "understudy" in _marked:
        _marked.discard("understudy")
        _finder.mark_rewrite()  # type: ignore[attr-defined] # nothing more; what it remembers of names is forgotten
