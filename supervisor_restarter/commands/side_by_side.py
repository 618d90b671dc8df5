"""Runs errands side by side, with a few connections at most.

Each connection is a descriptor of supervisord, which its processes need
(supervisor/process.py: spawn). So a few errands have a connection each, and are answered when they
end; many share one, begin their restarts and then ask how they stand.
"""

import threading
import time
import xmlrpc.client
from typing import Any, Callable, Dict, List, Optional

from supervisor_restarter.commands.connection import TROUBLE
from supervisor_restarter.commands.errands import Call, Errand
from supervisor_restarter.commands.names import Target
from supervisor_restarter.commands.options import Asked

FEW = 8  # connections
PERIOD = 0.2  # seconds
AT_ONCE = 10  # calls, which hold supervisord's main loop together

# supervisor/xmlrpc.py: SupervisorTransport raises a ValueError for a URL that it cannot use.
_KNOWN = (*TROUBLE, ValueError)


def errands(targets: List[Target], asked: Asked) -> List[Errand]:
    """Return an errand for each target."""
    return [Errand(target, asked, waiting=len(targets) <= FEW) for target in targets]


def run(errands: List[Errand], connect: Callable[[], Any], period: float = PERIOD) -> None:
    """Run those errands that have not ended until each has, with its report or its trouble.

    `connect` returns a new `xmlrpc.client.ServerProxy`. After a KeyboardInterrupt, which is raised,
    no more calls are made.
    """
    errands = [errand for errand in errands if not errand.ended]
    if len(errands) > FEW:
        _share(errands, connect, period)
        return
    left = threading.Event()
    threads = [threading.Thread(target=_run_one, args=(errand, connect, left, period), daemon=True)
               for errand in errands]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        left.set()
    for errand in errands:
        if errand.trouble is not None and not isinstance(errand.trouble, _KNOWN):
            raise errand.trouble


def _run_one(errand: Errand, connect: Callable[[], Any], left: threading.Event,
             period: float) -> None:
    story = errand.story()
    try:
        proxy = connect()
        call = _next(story, None)
        while call is not _END:
            if left.wait(period if call is None else 0):
                return
            call = _next(story, None if call is None else _answer(proxy, call))
    except Exception as why:  # run() raises what is not known to go wrong
        if errand.report is None:  # else what came of it is known, and only a warning is not
            errand.trouble = why


def _share(errands: List[Errand], connect: Callable[[], Any], period: float) -> None:
    stories = {errand.group: errand.story() for errand in errands}
    answers: Dict[str, Any] = dict.fromkeys(stories)
    try:
        proxy = connect()
        while stories:
            calls: Dict[str, Call] = {}
            for group, answer in answers.items():
                call = _next(stories[group], answer)
                if call is _END:
                    del stories[group]
                elif call is not None:
                    calls[group] = call
            if stories and not calls:
                time.sleep(period)
            # All that wait a moment have waited together.
            answers = (dict(zip(calls, _answers(proxy, list(calls.values())))) if calls else
                       dict.fromkeys(stories))
    except _KNOWN as why:
        for errand in errands:
            if errand.report is None:
                errand.trouble = why


_END = Call('')


def _next(story: Any, answer: Any) -> Optional[Call]:
    try:
        return story.throw(answer) if isinstance(answer, xmlrpc.client.Fault) else (
            story.send(answer))
    except StopIteration:
        return _END


def _answer(proxy: Any, call: Call) -> Any:
    namespace, _, method = call.method.partition('.')
    try:
        return getattr(getattr(proxy, namespace), method)(*call.arguments)
    except xmlrpc.client.Fault as fault:
        return fault


def _answers(proxy: Any, calls: List[Call]) -> List[Any]:
    answers: List[Any] = []
    for begin in range(0, len(calls), AT_ONCE):
        answers += proxy.system.multicall([
            {'methodName': call.method, 'params': call.arguments}
            for call in calls[begin:begin + AT_ONCE]])
    return [xmlrpc.client.Fault(**answer) if isinstance(answer, dict) and 'faultCode' in answer
            else answer for answer in answers]
