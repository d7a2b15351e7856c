"""What a contract, or a journal, is in the formats of other tools: one module for each of them."""

from __future__ import annotations

from understudy.export.har import as_har

__all__ = ["as_har"]
