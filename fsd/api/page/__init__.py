"""The page at `/`: what a daemon serves, keeps and works at, for people, and buttons to steer it.

    application.include_router(page.router(control))

view.py       what is shown, asked of Control within a bounded time
routes.py     the page, and its style sheet, script and icon, with a strict Content-Security-Policy
The page is complete without a script; the script keeps it current and makes the buttons work, through the
same API as everybody. Knows Control and its reports; nothing of trees, engines or stores.
"""

from fsd.api.page.routes import router

__all__ = ["router"]
