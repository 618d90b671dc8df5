"""A restart of the group of a `World` that a test moves by hand, and what it asks of it."""

from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World

LATE = Settings(timeout=100.0)
# The option `delay` is so long that only what is due moves a restart.
SLOW = LATE._replace(delay=50.0)
SURGE = SLOW._replace(max_surge=Limit(1))

NOT_PERMITTED = 'STOP_FAILED: PermissionError: [Errno 1] Operation not permitted'
QUICK = 'START_FAILED: Exited too quickly (process log may have details)'
CANNOT_BE_SPAWNED = [  # what to make of a process; text and code of the fault
    ({'spawn_error': "can't find command"}, "SPAWN_ERROR: can't find command", 50),
    ({'raises': OSError('address in use')}, 'SPAWN_ERROR: address in use', 50),
    ({'raises': RuntimeError('oops')}, 'FAILED: RuntimeError: oops', 30)]
GONE = 'BAD_GROUP: web: removed during its restart'


def rolling(limit, **others):
    return LATE._replace(max_unavailable=Limit(limit), **others)


def fault(name, text, code=0x430):
    return {'code': code, 'text': text, 'group': 'web', 'name': name}


class Restart(GroupRestart):
    """Its first pass is made. Whatever moves it returns it."""

    def __init__(self, world, settings=LATE, readiness=None, plan=None):
        self.world, self.watches = world, readiness and readiness.watches
        super().__init__(world.supervisord, world.group, settings, world.clock, readiness, plan)
        assert self.due() == 0
        self.advance()

    def __getitem__(self, name):
        return self.world[name]

    @property
    def history(self):
        return self.world.history

    @property
    def stopped(self):
        return [name for what, name in self.history if what == 'stop']

    @property
    def spawned(self):
        return [name for what, name in self.history if what == 'spawn']

    @property
    def states(self):
        return self.world.states()

    @property
    def names(self):
        return sorted(self.group.processes)

    @property
    def texts(self):
        """What its outcome says: its faults, or the fault that is raised."""
        if isinstance(self.outcome, list):
            return [each['text'] for each in self.outcome]
        return [] if self.outcome in (None, True) else [self.outcome.text]

    def down(self, *names, status=-1):
        """Let processes end, as supervisord tells it, and make a pass."""
        for name in names:
            self[name].die(status)
            self.changed(name, running=False)
        self.advance()
        return self

    def passes(self, seconds):
        """Let time pass as the main loop does: a pass whenever one is due."""
        clock = self.clock
        until = clock.now + seconds
        while not self.finished and clock.now + self.due() <= until:
            clock.forward(self.due())
            self.advance()
        clock.forward(max(0.0, until - clock.now))
        return self

    def look(self):
        """Make a pass that looks at all."""
        for slot in self.plan.slots:
            self.changed(slot.name, running=False)
        self.advance()
        return self

    def after(self, seconds):
        """Let time pass, and look at all."""
        self.clock.forward(seconds)
        return self.look()

    def let(self, name, *deeds):
        """Let a process do something, or have it done, of which nobody tells the restart."""
        for deed in deeds:
            getattr(self[name], deed)()
        return self

    def cancel(self):
        super().cancel()
        return self

    def told(self, name, running=False):
        """Tell that a process has changed its state, and make a pass."""
        self.changed(name, running)
        self.advance()
        return self

    def ready(self, name):
        """Let a process become ready, and make a pass."""
        self.watches[name].becomes_ready()
        self.advance()
        return self


def begin(names='', settings=LATE, readiness=None, **each):
    """Begin a restart in a new world: a letter for each process; `each`: see `World.config`."""
    return Restart(World(*names, **each), settings, readiness)


def takes(world, seconds, process, method):
    """Let a method of a process take its time."""
    plain = getattr(process, method)
    setattr(process, method, lambda: (world.clock.forward(seconds), plain())[1])
