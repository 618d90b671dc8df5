"""Tells that a process has been spawned, whoever has done it, before its output is read.

A process has new dispatchers, pipes and log files each time. The event of its new state comes too
early for them, and a pass of a restart too late (supervisor/process.py: spawn, transition).
"""

import traceback
from typing import Any, Callable, List


def after_spawn(process: Any, callback: Callable[[], None]) -> Callable[[], None]:
    """Call `callback()` after each spawn of a process; return a function that ends that."""
    method = vars(process).get('spawn')
    if not isinstance(method, _Spawn):
        method = process.spawn = _Spawn(process)
    method.callbacks.append(callback)

    def end() -> None:
        if callback in method.callbacks:
            method.callbacks.remove(callback)
            method.leave()
    return end


class _Spawn:
    """Stands for the method `spawn` of one process while somebody wants to be told."""

    def __init__(self, process: Any):
        self.process = process
        self.callbacks: List[Callable[[], None]] = []
        self._spawn = process.spawn
        self._before = vars(process).get('spawn')

    def __call__(self) -> Any:
        pid = self._spawn()
        for callback in list(self.callbacks):
            try:
                callback()
            except Exception:  # Nothing in supervisord's main loop would catch it.
                self.process.config.options.logger.critical(
                    'restarter: %s' % traceback.format_exc())
        return pid

    def leave(self) -> None:
        """Let the process have its own method again, when nobody wants to be told any more."""
        if self.callbacks or vars(self.process).get('spawn') is not self:
            return
        if self._before is None:
            del self.process.spawn
        else:
            self.process.spawn = self._before
