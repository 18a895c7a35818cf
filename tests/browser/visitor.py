"""A visitor of the page, with a browser profile of their own, in which every error is noticed."""

import re
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Request, WebError

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
  console.error(`policy violated: ${effectiveDirective} forbids ${blockedURI}`));
"""
ABORTED = "net::ERR_ABORTED"  # the page itself aborted a request: it closed a stream, or the visitor left it


class Visitor:
    """One browser profile, and its errors: those in the console, violations of the policy, failed requests, and requests to
    another origin than ours, which never leave this machine.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self._origins = {url}
        self._allowed: list[re.Pattern[str]] = []
        self._complaints: list[str] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failure)

    async def open(self, path: str = "/") -> Page:
        """Open a tab on one of our paths, or on another URL."""
        page = await self.context.new_page()
        await page.goto(path if "://" in path else self.url + path)
        return page

    def allow(self, pattern: str) -> None:
        """Expect complaints that match a regular expression, before or after this call."""
        self._allowed.append(re.compile(pattern))

    def allow_origin(self, url: str) -> None:
        """Expect requests to another origin."""
        self._origins.add(url)

    async def complaints(self) -> list[str]:
        """Return the errors so far that the test did not allow."""
        await self.context.cookies()  # one round trip, after which all earlier messages of the browser have arrived
        return [one for one in self._complaints if not any(pattern.search(one) for pattern in self._allowed)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complaints.append(f"console: {message.text} ({message.location['url']})")

    def _on_error(self, error: WebError) -> None:
        self._complaints.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        target = urlsplit(request.url)
        if target.scheme not in {"data", "blob"} and f"{target.scheme}://{target.netloc}" not in self._origins:
            self._complaints.append(f"elsewhere: {request.url}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != ABORTED:
            self._complaints.append(f"failed: {request.url} ({request.failure})")
