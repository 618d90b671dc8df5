"""What a unit test moves by hand, beside processes: what is logged, and seen of readiness."""

import math


class FakeLogger:
    def __init__(self):
        self.lines = []

    def __getattr__(self, level):
        return lambda message, **values: self.lines.append((level, message))


class FakeReadiness:
    """What programs declare, by the names of their processes, and the watches for them.

    `watches` has the last watch of each process; the test sets what they see, what was `noted` of
    a process, and the ids of `orphaned` groups. `trouble`: why there is no watch to be had.
    """

    class Declaration(str):
        @property
        def can_be_asked(self):
            return self != 'notify'

    class Watch:
        extended_until = -math.inf
        patient = False
        seen = 'refused'
        others = ''
        period = 0.1

        def __init__(self, declaration, changed):
            self.awaited, self.changed = declaration, changed
            self.ready = self.closed = False
            self.early = declaration is not None
            self.looks = 0
            self.environment = {'NOTIFY_SOCKET': '/socket'} if declaration == 'notify' else {}

        def look(self):
            self.looks += 1

        def due(self):
            return self.period

        def in_the_way(self):
            return self.others

        def close(self):
            self.closed = True

        def becomes_ready(self):
            self.ready = True
            self.changed()

    def __init__(self, **declared):
        self.by_name = declared
        self.watches = {}
        self.noted = {}
        self.orphaned = set()
        self.trouble = None

    def declared(self, config):
        value = self.by_name.get(config.name)
        if value == 'wrong':
            raise ValueError('RESTARTER_READY = %r: must be right' % value)
        return value and self.Declaration(value)

    def note(self, process, declaration, surge):
        return self.noted.get(process.config.name)

    def groups_that_run(self, pids):
        return {pid for pid in pids if self.group_lives(pid)}

    def group_lives(self, pid):
        return pid in self.orphaned

    def watch(self, process, declaration, delay, changed, noted):
        if self.trouble:
            raise self.trouble
        self.watches[process.config.name] = self.Watch(declaration, changed)
        return self.watches[process.config.name]
