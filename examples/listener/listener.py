"""Writes a line at the begin and at the end of each restart; Slack or statsd would go here."""

import json
import sys


def told(restart):
    """Return what is to be said of one event."""
    if restart['event'] == 'begin':
        return '%(group)s: restart begins: %(way)s' % restart
    texts = [each['text'] for each in restart['faults'] + restart['warnings']]
    return '; '.join(['%(group)s: %(outcome)s, after %(seconds).1f seconds' % restart] + texts)


while True:
    print('READY', flush=True)  # to supervisord: an event may come
    header = dict(pair.split(':') for pair in sys.stdin.readline().split())
    kind, data = sys.stdin.read(int(header['len'])).split('\n', 1)
    if kind == 'type:restarter':
        print(told(json.loads(data)), file=sys.stderr, flush=True)
    print('RESULT 2\nOK', end='', flush=True)
