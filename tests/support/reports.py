"""What supervisord's log tells of a restart."""

import datetime
import re
from typing import List

_KILLING = re.compile(r'^(\S+ \S+) DEBG killing \S+ \(pid', re.MULTILINE)


def killed_at(log: str) -> List[float]:
    """Return when supervisord told each process to stop, in seconds since the epoch."""
    return [datetime.datetime.strptime(when, '%Y-%m-%d %H:%M:%S,%f').timestamp()
            for when in _KILLING.findall(log)]
