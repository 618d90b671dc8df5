"""What can go wrong in a restart: the codes, and the forms in which a caller gets them."""

from typing import Any, Dict, NamedTuple

from supervisor import xmlrpc
from supervisor.options import make_namespec


class Faults:
    """The codes; the names are part of every fault's text."""

    INCORRECT_PARAMETERS = xmlrpc.Faults.INCORRECT_PARAMETERS
    SHUTDOWN_STATE = xmlrpc.Faults.SHUTDOWN_STATE
    FAILED = xmlrpc.Faults.FAILED
    SPAWN_ERROR = xmlrpc.Faults.SPAWN_ERROR
    CANT_REREAD = xmlrpc.Faults.CANT_REREAD
    BAD_GROUP = 0x400
    BAD_STATE = 0x410
    TIMEOUT = 0x420
    START_FAILED = 0x430
    STOP_FAILED = 0x431
    RESTART_IN_PROGRESS = 0x440
    NO_RESTART = 0x441
    STOPPED_EARLY = 0x450
    CANCELLED = 0x451
    NOT_READY = 0x460
    CANT_UPDATE = 0x470
    LEFT_BEHIND = 0x480


_NAMES = {code: name for name, code in vars(Faults).items() if not name.startswith('_')}


class RPCError(xmlrpc.RPCError):
    """A fault that an RPC method raises.

    `code` is one of `Faults`, `extra` is what follows the code's name in the text.
    """

    def __init__(self, code: int, extra: str):
        super().__init__(code, extra)
        self.text = '%s: %s' % (_NAMES[code], extra)


class Fault(NamedTuple):
    """What went wrong with one process, or with an empty `name` with the whole group."""

    code: int
    explanation: str
    group: str
    name: str = ''

    @property
    def text(self) -> str:
        """`NAME: explanation`."""
        return '%s: %s' % (_NAMES[self.code], self.explanation)

    @property
    def subject(self) -> str:
        """The process as Supervisor writes it (`group:name`), or the group."""
        return make_namespec(self.group, self.name) if self.name else self.group

    def struct(self) -> Dict[str, Any]:
        """Return the fault as an entry of the list that a caller gets."""
        return {'code': self.code, 'text': self.text, 'group': self.group, 'name': self.name}

    def error(self) -> RPCError:
        """Return the fault as an exception, its text `NAME: subject: explanation`."""
        return RPCError(self.code, '%s: %s' % (self.subject, self.explanation))


class CannotRestart(ValueError):
    """Why a restart cannot begin, as a sentence that names the process."""


class Failed(Exception):
    """Why a restart gives up on a slot: the code of a fault, and an explanation."""

    def __init__(self, code: int, explanation: str):
        super().__init__(code, explanation)
        self.code = code
        self.explanation = explanation
