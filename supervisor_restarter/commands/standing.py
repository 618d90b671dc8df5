"""How a restart stands, in words: what `getRestartInfo` tells, for a terminal."""

from typing import Any, Dict, List

BAR = 20  # characters

_COUNTED = ('waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed', 'surging')


def summary(info: Dict[str, Any]) -> str:
    """Return the state and the counts, such as `RESTARTING, 3 waiting, 1 starting, 2.0 seconds`."""
    return ', '.join([info['state'], *_counts(info),
                      *(['%.1f seconds' % info['elapsed']] if info['total'] else [])])


def awaited(entry: Dict[str, Any]) -> str:
    """Return what is awaited of one process, and what was seen last, for an entry of `awaiting`."""
    what, seen = entry.get('awaited', ''), entry.get('seen', '')
    if seen.startswith(what):
        what = ''
    return ': '.join(text for text in (_phase(entry), what, seen) if text)


def _phase(entry: Dict[str, Any]) -> str:
    phase, limit = entry.get('phase', ''), entry.get('limit', 0.0)
    if phase == 'starting' and entry.get('awaited'):
        return ''  # what is awaited says it
    if not limit:
        return phase
    if phase == 'ready':
        return 'ready for %d of %d s' % (entry['seconds'], limit)
    return '%s, up to %s s' % (phase, '{:,.0f}'.format(limit)) if phase == 'leaving' else phase


def progress_line(info: Dict[str, Any], width: int, others: int = 0, queued: bool = False) -> str:
    """Return a line that shows how a restart stands, narrower than `width` characters.

    `others` are how many more groups there are. `queued`: this restart is that of somebody else,
    and ours waits for its end. A line that is too long loses the bar first, then the address that
    is asked.
    """
    settled = info['restarted'] + info['failed'] + info['removed']
    filled = BAR * settled // max(1, info['total'])
    counts = ', '.join([*_counts(info), '%.1f s' % info['elapsed']])
    if others:
        counts += ', and %d more group%s' % (others, 's' * (others > 1))
    name = info['group'] + (' waits for its turn:' if queued else '')
    lines = ['%s [%s%s] %s' % (name, '#' * filled, '.' * (BAR - filled), counts)]
    if info['awaiting']:
        first, more = info['awaiting'][0], len(info['awaiting']) - 1
        who = '%s and %d more' % (first['name'], more) if more else first['name']
        without_bar, seen = '%s %s' % (name, counts), awaited(first)
        brief = _brief(first) or seen
        lines = ['%s, awaiting %s: %s' % (begin, who, end)
                 for begin, end in ((lines[0], seen), (without_bar, seen), (without_bar, brief))]
    fitting = [line for line in lines if len(line) < width]
    return fitting[0] if fitting else lines[-1][:max(0, width - 1)]


def _brief(entry: Dict[str, Any]) -> str:
    what, seen = entry.get('awaited', ''), entry.get('seen', '')
    return (seen[len(what):].lstrip(': ') if seen.startswith(what) else seen) or _phase(entry)


def _counts(info: Dict[str, Any]) -> List[str]:
    return ['%d %s' % (info[what], what) for what in _COUNTED if info[what]]
