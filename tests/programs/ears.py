"""An event listener that writes what it hears to the file of its argument."""

import sys

with open(sys.argv[1], 'a', encoding='utf-8') as heard:
    while True:
        sys.stdout.write('READY\n')
        sys.stdout.flush()
        header = dict(pair.split(':') for pair in sys.stdin.readline().split())
        payload = sys.stdin.read(int(header['len']))
        heard.write('%s %s\n' % (header['eventname'], payload))
        heard.flush()
        sys.stdout.write('RESULT 2\nOK')
        sys.stdout.flush()
