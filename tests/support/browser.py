"""A headless Chromium for tests and pictures, driven over the WebDriver protocol.

It needs Debian's packages chromium and chromium-driver.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from typing import Any, Iterator, Optional

from tests.support.daemon import free_port, wait_until

MISSING = "needs a browser: Debian's packages chromium and chromium-driver"

OPTIONS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync',
           '--hide-scrollbars']

ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # so the protocol marks what is an element


def there_is_one() -> bool:
    """Whether Chromium and its driver are installed."""
    return bool(shutil.which('chromium') and shutil.which('chromedriver'))


class Browser:
    """A browser with one window; ended, with its folder, on exit.

        with Browser() as browser:
            browser.open('http://127.0.0.1:9001/restarter/')
            browser.click('section .restart')
            assert browser.text('#message') == ''

    What is found by a selector is the first of its kind.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix='restarter-browser-', dir='/tmp')
        self._url = 'http://127.0.0.1:%d' % free_port()
        self._driver: Optional[subprocess.Popen] = None
        self._session = ''

    def __enter__(self) -> 'Browser':
        try:
            self._driver = subprocess.Popen(
                ['chromedriver', '--port=%s' % self._url.rsplit(':', 1)[1]],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=dict(os.environ, TMPDIR=self._folder))
            wait_until(self._answers, 'chromedriver answers')
            arguments = OPTIONS + ['--user-data-dir=%s' % self._folder,
                                   '--window-size=900,700']
            wanted = {'browserName': 'chrome', 'goog:chromeOptions': {
                'binary': shutil.which('chromium'), 'args': arguments}}
            made = self._ask('POST', '/session', capabilities={'alwaysMatch': wanted})
            self._session = '/session/%s' % made['sessionId']
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: Any, why: Any, trace: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and its driver."""
        try:
            if self._session:
                self._ask('DELETE', self._session)
        finally:
            if self._driver is not None:
                self._driver.terminate()
                self._driver.wait(10)
            shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page is loaded."""
        self._do('url', url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page, and return what it returns."""
        return self._do('execute/sync', script=script, args=list(arguments))

    def in_frame(self, selector: str, script: str) -> Any:
        """Run a script in a frame of the page."""
        self._do('frame', id=self._do('element', using='css selector', value=selector))
        try:
            return self.run(script)
        finally:
            self._do('frame', id=None)

    def text(self, selector: str) -> str:
        """Return the text of an element, or an empty one where there is none."""
        return self.run('return document.querySelector(arguments[0])?.textContent || ""', selector)

    def wait_text(self, selector: str, part: str, seconds: float = 20.0) -> str:
        """Wait until the text of an element has a part, and return the text."""
        return wait_until(lambda: part in self.text(selector) and self.text(selector),
                          '%s says %r' % (selector, part), seconds)

    def click(self, selector: str) -> None:
        """Click on an element, as a user does."""
        element = self._do('element', using='css selector', value=selector)
        self._do('element/%s/click' % element[ELEMENT])

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        pressed = [{'type': kind, 'value': key} for key in keys for kind in ('keyDown', 'keyUp')]
        self._do('actions', actions=[{'type': 'key', 'id': 'keyboard', 'actions': pressed}])

    @contextlib.contextmanager
    def other_tab(self) -> Iterator[None]:
        """Have an empty tab before the one that is there, which is hidden meanwhile."""
        first = self._ask('GET', self._session + '/window')
        other = self._do('window/new', type='tab')['handle']
        self._do('window', handle=other)
        try:
            yield
        finally:
            self._ask('DELETE', self._session + '/window')
            self._do('window', handle=first)

    def resize(self, width: int, height: int, dark: bool = False) -> None:
        """Give the page another size, in pixels, and dark or light colours."""
        self._tell_chromium('Emulation.setDeviceMetricsOverride', width=width, height=height,
                            deviceScaleFactor=1, mobile=False)
        self._tell_chromium('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def picture(self) -> bytes:
        """Return a PNG of what the window shows."""
        return base64.b64decode(self._ask('GET', self._session + '/screenshot'))

    def _answers(self) -> bool:
        try:
            return self._ask('GET', '/status')['ready']
        except urllib.error.URLError:
            return False

    def _tell_chromium(self, command: str, **parameters: Any) -> Any:
        return self._do('goog/cdp/execute', cmd=command, params=parameters)

    def _do(self, command: str, **parameters: Any) -> Any:
        return self._ask('POST', '%s/%s' % (self._session, command), **parameters)

    def _ask(self, method: str, path: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode() if method == 'POST' else None
        request = urllib.request.Request(self._url + path, body, method=method, headers={
            'Content-Type': 'application/json'})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as why:
            raise AssertionError('%s: %s' % (path, json.load(why)['value']['message'])) from None
