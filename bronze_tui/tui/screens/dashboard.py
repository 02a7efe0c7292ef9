"""Page 1."""
from __future__ import annotations
from bronze_tui.tui.screens.base import Page
class DashboardPage(Page):
    PAGE = "dashboard"
