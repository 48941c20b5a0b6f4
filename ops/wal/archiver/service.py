"""What the service answers to a request: the same codes and messages as `ops wal push` and `fetch`, only sooner."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from pathlib import Path

from ops.config import Config
from ops.model.segment import WalFile
from ops.postgres.control import first_data_dir
from ops.store.repository import Repository
from ops.wal.access import Access
from ops.wal.answer import Offered, Wanted, fetch, in_words
from ops.wal.archiver.background import Background
from ops.wal.archiver.protocol import ALIVE_EVERY, Reply, Request, options
from ops.wal.archiver.queue import Queue
from ops.wal.archiver.state import State
from ops.wal.contract import FetchExit, PushExit, push_exit
from ops.wal.faults import reached
from ops.wal.prefetch import Spool, SpoolError
from ops.wal.push import Pushed

Gone = Callable[[], bool]


class Service:
    """Answers requests from any number of threads; `config_file` is where its configuration was read."""

    def __init__(self, config: Config, config_file: Path | None = None) -> None:
        self._config = config
        self._config_file = config_file
        self._access = Access(config)
        self._state = State()
        self._queue = Queue(self._state, workers=config.wal.workers)
        self._spool = Spool(config.wal.spool_dir / "prefetch", limit=config.wal.prefetch_mib << 20)
        self._background = Background(config, self._access, self._queue, self._spool)
        self.stopping = threading.Event()

    def answer(self, request: Request, gone: Gone) -> Reply:
        """The reply to one request. `gone`, asked about once a second, says that nobody waits for it any more."""
        if request.verb == "status":
            return Reply(0, json.dumps(self._state.as_dict() | self._queue.counts() | self._background.report()))
        tail = "--tail" in request.arguments
        arguments = tuple(argument for argument in request.arguments if argument != "--tail")
        chosen = options(arguments, "--data-dir", "--system-identifier", "--config", "--repository")
        if chosen is None or not self._is_mine(chosen[1].get("--config"), request.here):
            return Reply(None)
        positional, given = chosen
        data_dir = request.here / given["--data-dir"] if "--data-dir" in given else None
        if first_data_dir([data_dir or request.here]) is None:
            return Reply(None)  # hidden from us, perhaps: to answer for another database would be worse than to be slow
        if (
            request.verb == "push"
            and len(positional) == 1
            and not {"--system-identifier", "--repository"} & given.keys()
        ):
            return self._push(Offered(request.here / positional[0], request.here, data_dir), gone)
        identifier = given.get("--system-identifier", "0")
        if request.verb == "fetch" and len(positional) == 2 and identifier.isdecimal():
            name, destination = positional
            here = request.here
            wanted = Wanted(name, here / destination, here, data_dir, int(identifier) or None, tail)
            return self._fetch(wanted, given.get("--repository"), gone)
        return Reply(None)  # whatever it means: the command says what is wrong with it

    @property
    def fetched(self) -> tuple[int, int]:
        """How many files it has handed out, and how many of them were there before they were asked for."""
        return self._state.fetched, self._state.prefetched

    def run(self, stop: threading.Event) -> None:
        """Do what nobody asks for, until `stop`."""
        self._background.run(stop)

    def stop(self) -> None:
        """Finish what has begun, and let go of the rest."""
        self.stopping.set()
        self._queue.stop()
        self._spool.stop()

    def _is_mine(self, config_file: str | None, here: Path) -> bool:
        return config_file is None or here / config_file == self._config_file

    def _push(self, offered: Offered, gone: Gone) -> Reply:
        reached("push-asked")
        try:
            pusher = offered.pusher(self._access)
            outcome = self._queue.push(offered.path, pusher)
            self._queue.look_ahead(offered.path.parent, pusher)
            pushed = _wait(outcome, gone)
        except CancelledError:
            return Reply(None)  # we are being stopped
        except Exception as error:
            return Reply(push_exit(error), in_words(error))
        ahead = pushed is Pushed.ALREADY_THERE
        said = f"{offered.path.name} is in the repository already, with the same contents" if ahead else ""
        return Reply(PushExit.STORED, said)

    def _fetch(self, wanted: Wanted, repository: str | None, gone: Gone) -> Reply:
        reached("fetch-asked")
        said: list[str] = []
        spooling = _Spooling(self._spool, self._state)

        def tell(what: BaseException | str) -> None:
            said.append(what if isinstance(what, str) else in_words(what))

        try:
            known = partial(self._access.at, repository)
            code = fetch(wanted, known, spooling, tell, gone=lambda: gone() or self.stopping.is_set())
        except SpoolError:
            return Reply(None)
        except Exception as error:
            return Reply(FetchExit.STOP, in_words(error))
        return Reply(code, "\n".join(said), spooling.file)


class _Spooling:
    """Puts a file into the spool, from where the client moves it to its destination."""

    def __init__(self, spool: Spool, state: State) -> None:
        self._spool = spool
        self._state = state
        self.file: Path | None = None

    def bring(self, repository: Repository, file: WalFile) -> bool:
        spooled = self._spool.bring(repository, file)
        if spooled is not None:
            self._state.served(ahead=spooled.ahead)
            self.file = spooled.path
        return spooled is not None

    def put(self, file: WalFile, contents: bytes) -> None:
        self.file = self._spool.put(file, contents).path


def _wait(outcome: Future[Pushed], gone: Gone) -> Pushed:
    """What a push comes to; CancelledError once nobody wants to know."""
    while not gone():
        if wait([outcome], ALIVE_EVERY).done:
            return outcome.result()
    raise CancelledError
